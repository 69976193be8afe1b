// The program under test: a process on free ports, with its own database and the sandbox inside.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { openSync, closeSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../target', import.meta.url));
const binary = process.env.TOLLGATE_BIN ?? join(target, 'debug/tollgate');
const site = process.env.TOLLGATE_SITE ?? join(target, 'site');

/** The timeout for starting. Only a deadlock takes that long. */
const START_TIMEOUT = 30_000;

export class Tollgate {
  /** The address of the app, `http://localhost:…`. */
  readonly url: string;
  /** The address of its sandbox, `http://127.0.0.1:…`. */
  readonly stripe: string;
  readonly folder: string;
  #env: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;

  private constructor(url: string, stripe: string, folder: string, env: NodeJS.ProcessEnv) {
    this.url = url;
    this.stripe = stripe;
    this.folder = folder;
    this.#env = env;
  }

  /** Starts the program. With `stripe`, it uses that instead of its own sandbox. */
  static async start(stripe?: string): Promise<Tollgate> {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-'));
    const [port, stripePort] = await freePorts();
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      APP_ENV: 'development',
      APP_URL: `http://localhost:${port}`,
      BIND_ADDR: `127.0.0.1:${port}`,
      DATABASE_URL: `sqlite:${join(folder, 'tollgate.db')}`,
      TOLLGATE_SITE: site,
      // Tests that compare with Stripe do so themselves.
      RECONCILE_SECONDS: 'never',
      ...(stripe === undefined
        ? { SANDBOX_ADDR: `127.0.0.1:${stripePort}` }
        : {
            STRIPE_API_BASE: stripe,
            STRIPE_SECRET_KEY: 'sk_test_sandbox',
            STRIPE_WEBHOOK_SECRET: 'whsec_not_used_by_anyone',
          }),
    };
    const tollgate = new Tollgate(
      `http://localhost:${port}`,
      stripe ?? `http://127.0.0.1:${stripePort}`,
      folder,
      env,
    );
    await tollgate.resume();
    return tollgate;
  }

  get database(): string {
    return join(this.folder, 'tollgate.db');
  }

  /** Starts the process, and waits until it is ready. */
  async resume(): Promise<void> {
    const logFile = join(this.folder, 'log');
    const log = openSync(logFile, 'a');
    // Not in the repository, which may have an `.env` and data.
    const child = spawn(binary, ['serve'], { cwd: this.folder, env: this.#env, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#process = child;
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    for (const deadline = Date.now() + START_TIMEOUT; ; await pause(25)) {
      if (await isReady(this.url)) return;
      if (failure || child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`${binary} does not start: ${failure ?? ''}\n${await readFile(logFile, 'utf8')}`);
      }
    }
  }

  /** Runs a command of the program and returns its output. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(binary, args, { cwd: this.folder, env: this.#env });
    return stdout;
  }

  /** Stops the process gracefully. */
  async pause(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    await this.pause();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url.replace('localhost', '127.0.0.1')}/readyz`)).ok;
  } catch {
    return false;
  }
}

/** Returns two free ports. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  await Promise.all(servers.map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
  const [first, second] = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [first!, second!];
}
