// `test`, with a running Tollgate behind it and an ear for every complaint.

import { test as base, expect, type BrowserContext, type BrowserContextOptions, type Page } from '@playwright/test';
import { Stripe } from './stripe.ts';
import { Tollgate } from './tollgate.ts';
import { Watch } from './watch.ts';

interface Fixtures {
  /** Says which complaints are wanted. */
  watch: Watch;
  /** Stripe's API, as its Dashboard would use it. */
  stripe: Stripe;
  /** An address that nobody else in this run has. */
  email: string;
  /** Opens a browser of somebody else, listened to as well. */
  visitor: (options?: BrowserContextOptions) => Promise<{ page: Page; watch: Watch }>;
}

interface WorkerFixtures {
  /** Who shares a Tollgate. Files whose tests move the clock or steer the sandbox name themselves, and share theirs with none. */
  sharers: string;
  tollgate: Tollgate;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  sharers: ['everybody', { scope: 'worker', option: true }],

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
      expect(watch.faults, 'the browser complained').toEqual([]);
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
    expect(opened.flatMap(({ watch }) => watch.faults), 'a visitor’s browser complained').toEqual([]);
  },
});

/** The same, for tests whose cards have had no trial and whose clock stands: each has a Tollgate of its own. */
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
