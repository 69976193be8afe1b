// Listens to everything that a browser complains about. A test that expects a
// complaint says so before, and fails when it does not come.

import type { BrowserContext } from '@playwright/test';

export class Watch {
  #faults: string[] = [];
  #expected: { status: number; path: RegExp; seen: boolean }[] = [];

  constructor(context: BrowserContext, runsScripts: boolean) {
    context.on('console', (message) => {
      const text = message.text();
      if (!['error', 'warning'].includes(message.type())) return;
      // A refused load is told about by its response as well, and better.
      if (text.startsWith('Failed to load resource: the server responded with a status of')) return;
      // Chromium preloads with scripts switched off too, and then wonders that nothing uses it.
      if (!runsScripts && /\.wasm was preloaded using link preload but not used/.test(text)) return;
      this.#faults.push(`console ${message.type()}: ${text} (${message.location().url})`);
    });
    context.on('weberror', (error) => this.#faults.push(`uncaught: ${error.error()}`));
    context.on('requestfailed', (request) => {
      // What a page was still loading when it was left is no fault.
      const why = request.failure()?.errorText ?? 'unknown';
      if (why === 'net::ERR_ABORTED') return;
      // … and refuses what it preloads.
      if (!runsScripts && why === 'csp' && request.url().endsWith('.js')) return;
      this.#faults.push(`failed: ${request.method()} ${request.url()}: ${why}`);
    });
    context.on('response', (response) => {
      if (response.status() < 400) return;
      const path = new URL(response.url()).pathname;
      const expected = this.#expected.find((one) => one.status === response.status() && one.path.test(path));
      if (expected) expected.seen = true;
      else this.#faults.push(`${response.status()}: ${response.request().method()} ${response.url()}`);
    });
  }

  /** From now on, this status is what the test wants. */
  expect(status: number, path: RegExp): void {
    this.#expected.push({ status, path, seen: false });
  }

  /** What was complained about, and what was not although it was expected. */
  get faults(): string[] {
    const missing = this.#expected.filter((one) => !one.seen).map((one) => `no ${one.status} came from ${one.path}`);
    return [...this.#faults, ...missing];
  }
}
