// Collects the errors of a browser. A test declares the errors it expects, and fails if they don't
// occur.

import type { BrowserContext } from '@playwright/test';

export class Watch {
  #errors: string[] = [];
  #expected: { status: number; path: RegExp; seen: boolean }[] = [];

  constructor(context: BrowserContext, runsScripts: boolean) {
    context.on('console', (message) => {
      const text = message.text();
      if (!['error', 'warning'].includes(message.type())) return;
      // The response is reported below.
      if (text.startsWith('Failed to load resource: the server responded with a status of')) return;
      // Chromium preloads scripts even if they are disabled, and warns that they are not used.
      if (!runsScripts && /\.wasm was preloaded using link preload but not used/.test(text)) return;
      this.#errors.push(`console ${message.type()}: ${text} (${message.location().url})`);
    });
    context.on('weberror', (error) => this.#errors.push(`uncaught: ${error.error()}`));
    context.on('requestfailed', (request) => {
      // A page was left while it was loading.
      const reason = request.failure()?.errorText ?? 'unknown';
      if (reason === 'net::ERR_ABORTED') return;
      // Chromium blocks scripts that it preloads although they are disabled.
      if (!runsScripts && reason === 'csp' && request.url().endsWith('.js')) return;
      this.#errors.push(`failed: ${request.method()} ${request.url()}: ${reason}`);
    });
    context.on('response', (response) => {
      if (response.status() < 400) return;
      const path = new URL(response.url()).pathname;
      const expected = this.#expected.find((one) => one.status === response.status() && one.path.test(path));
      if (expected) expected.seen = true;
      else this.#errors.push(`${response.status()}: ${response.request().method()} ${response.url()}`);
    });
  }

  /** Expects a response with this status. */
  expect(status: number, path: RegExp): void {
    this.#expected.push({ status, path, seen: false });
  }

  /** Unexpected errors, and expected ones that did not occur. */
  get errors(): string[] {
    const missing = this.#expected.filter((one) => !one.seen).map((one) => `expected ${one.status} from ${one.path}`);
    return [...this.#errors, ...missing];
  }
}
