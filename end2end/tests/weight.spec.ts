// The weight of pages, and their islands.

import type { Page } from '@playwright/test';
import { signUp, subscribe, subscribeButton, usageBar } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

/** The most that a page may load, in bytes over the network. */
const BUDGET = 90_000;

const WITHOUT_ISLANDS = ['/', '/signup', '/login', '/dashboard', '/billing', '/dashboard/api-keys', '/api-reference', '/dashboard/custom-domain'];
const WITH_ISLANDS = ['/pricing', '/billing/upgrade?next=/dashboard/support'];

interface Loaded {
  bytes: number;
  scripts: string[];
}

/** Loads a page with an empty cache, and counts the bytes over the network. */
async function load(page: Page, path: string): Promise<Loaded> {
  const browser = await page.context().newCDPSession(page);
  await browser.send('Network.enable');
  await browser.send('Network.clearBrowserCache');
  const kinds = new Map<string, string>();
  const loaded: Loaded = { bytes: 0, scripts: [] };
  browser.on('Network.responseReceived', ({ requestId, response }) => {
    kinds.set(requestId, response.url);
    if (/javascript|wasm/.test(response.mimeType)) loaded.scripts.push(new URL(response.url).pathname);
  });
  browser.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (kinds.has(requestId)) loaded.bytes += encodedDataLength;
  });
  await page.goto(path, { waitUntil: 'networkidle' });
  await browser.detach();
  return loaded;
}

test('a page without an island loads no script', async ({ page, email }) => {
  for (const path of ['/', '/signup', '/login']) {
    expect((await load(page, path)).scripts, path).toEqual([]);
  }
  await signUp(page, email);
  await subscribe(page);
  for (const path of WITHOUT_ISLANDS) {
    await page.goto('about:blank');
    expect((await load(page, path)).scripts, path).toEqual([]);
    expect(await page.locator('leptos-island').count(), path).toBe(0);
  }
});

test('a page with islands loads at most 90 kB @javascript', async ({ page, email }, info) => {
  await signUp(page, email);
  for (const path of WITH_ISLANDS) {
    const { bytes, scripts } = await load(page, path);
    expect(scripts, path).toHaveLength(2);
    expect(bytes, path).toBeLessThanOrEqual(BUDGET);
    info.annotations.push({ type: path, description: `${bytes} bytes` });
  }
});

test('meters on analytics follow usage @javascript', async ({ page, email }) => {
  await page.clock.install();
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/analytics', { waitUntil: 'networkidle' });
  const calls = usageBar(page, 'API calls');
  await expect(calls).toHaveAttribute('value', '0');
  await page.request.get('/api/v1/entitlements');
  await page.clock.runFor(11_000);
  await expect(calls).toHaveAttribute('value', '1');
});

test('analytics loads at most 90 kB @javascript', async ({ page, email }) => {
  await signUp(page, email);
  await subscribe(page);
  const { bytes, scripts } = await load(page, '/dashboard/analytics');
  expect(scripts).toHaveLength(2);
  expect(bytes).toBeLessThanOrEqual(BUDGET);
});

test('a clicked subscribe button is busy and does not send a second request @javascript', async ({ page, email }) => {
  await signUp(page, email);
  await page.goto('/pricing', { waitUntil: 'networkidle' });
  // The form is not submitted, so that the button can be observed.
  const sent = await page.evaluateHandle(() => {
    const sent: string[] = [];
    addEventListener('submit', (submit) => {
      submit.preventDefault();
      sent.push((submit.target as HTMLFormElement).action);
    });
    return sent;
  });
  const button = subscribeButton(page, 'Pro');
  await expect(button).toHaveAttribute('aria-busy', 'false');
  await button.dblclick();
  await expect(button).toHaveAttribute('aria-busy', 'true');
  expect(await sent.jsonValue()).toHaveLength(1);
});
