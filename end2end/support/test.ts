// `test` with a running Tollgate, which fails if the browser reports an error.

import { test as base, expect, type BrowserContext, type BrowserContextOptions, type Page } from '@playwright/test';
import { Stripe } from './stripe.ts';
import { Tollgate } from './tollgate.ts';
import { Watch } from './watch.ts';

interface Fixtures {
  /** Declares the errors that the test expects. */
  watch: Watch;
  /** Stripe's API. */
  stripe: Stripe;
  /** An address that is unique in this run. */
  email: string;
  /** Opens another browser, whose errors fail the test as well. */
  visitor: (options?: BrowserContextOptions) => Promise<{ page: Page; watch: Watch }>;
}

interface WorkerFixtures {
  /** Tests with the same value share a Tollgate. Files that move the clock or change the sandbox have their own value. */
  sharedBy: string;
  tollgate: Tollgate;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  sharedBy: ['all', { scope: 'worker', option: true }],

  tollgate: [
    async ({}, use) => {
      const tollgate = await Tollgate.start();
      await use(tollgate);
      await tollgate.stop();
    },
    { scope: 'worker' },
  ],

  baseURL: async ({ tollgate }, use) => use(tollgate.url),

  watch: [
    async ({ context, javaScriptEnabled }, use) => {
      const watch = new Watch(context, javaScriptEnabled !== false);
      await use(watch);
      expect(watch.errors, 'errors in the browser').toEqual([]);
    },
    { auto: true },
  ],

  stripe: async ({ tollgate }, use) => use(new Stripe(tollgate.stripe)),

  email: async ({}, use, { testId, repeatEachIndex }) => use(`${testId}-${repeatEachIndex}@example.com`),

  visitor: async ({ browser, javaScriptEnabled }, use) => {
    const opened: { context: BrowserContext; watch: Watch }[] = [];
    await use(async (options) => {
      const context = await browser.newContext(options);
      const watch = new Watch(context, javaScriptEnabled !== false);
      opened.push({ context, watch });
      return { page: await context.newPage(), watch };
    });
    for (const { context } of opened) await context.close();
    expect(opened.flatMap(({ watch }) => watch.errors), 'errors in another browser').toEqual([]);
  },
});

/** `test` with a Tollgate for each test, for those that move the clock or need cards without a trial. */
export const alone = test.extend<{ own: Tollgate }>({
  own: async ({}, use) => {
    const own = await Tollgate.start();
    await use(own);
    await own.stop();
  },

  baseURL: async ({ own }, use) => use(own.url),

  stripe: async ({ own }, use) => use(new Stripe(own.stripe)),
});

export { expect };
