// The sandbox's control page works with and without JavaScript, by keyboard and on a phone, and is
// accessible to screen readers.

import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, test } from '../support/test.ts';
import { control } from '../support/stripe.ts';
import { heading, openCheckout, signUp, subscribe } from '../support/steps.ts';

/** Follows the first link in the page's content that leads to an object of a kind. */
async function follow(page: Page, prefix: string): Promise<void> {
  await page.getByRole('main').getByRole('link', { name: new RegExp(`^${prefix}_`) }).first().click();
  await expect(page.getByRole('main')).toBeVisible();
}

test.use({ sharedBy: 'the sandbox' });
test.describe.configure({ mode: 'serial' });

test('the clock can be advanced, also to the next due change', async ({ page, tollgate, email }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto(`${tollgate.stripe}/_sandbox`);
  await expect(heading(page, 'Overview')).toBeVisible();
  await page.getByLabel('Days').fill('2');
  await page.getByRole('button', { name: 'Advance', exact: true }).click();
  await expect(page.getByRole('status')).toContainText('clock');
  // The command line, another process, uses the same clock.
  const explained = await tollgate.run('explain', email);
  const asOf = Date.parse(/ as of (.*)/.exec(explained)![1]!);
  expect(asOf).toBeGreaterThan(Date.now() + 1.9 * 86_400_000);
  expect(explained).toContain('tier      PRO');
  const trial = page.getByRole('row').filter({ hasText: 'end of trial' });
  await trial.getByRole('button', { name: 'Jump here' }).first().click();
  await expect(page.getByRole('link', { name: 'customer.subscription.trial_will_end' }).first()).toBeVisible();
});

test('webhooks can be held, shuffled, delivered one by one, and released', async ({ page, tollgate, email, visitor }) => {
  await page.goto(`${tollgate.stripe}/_sandbox/deliveries`);
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Release' })).toBeVisible();
  const other = await visitor({ baseURL: tollgate.url });
  await signUp(other.page, email);
  await openCheckout(other.page);
  await page.goto(`${tollgate.stripe}/_sandbox/deliveries?state=pending`);
  await page.getByRole('button', { name: 'Shuffle' }).click();
  await expect(page.getByRole('status')).toContainText('shuffled');
  await page.goto(`${tollgate.stripe}/_sandbox/deliveries?state=pending`);
  await page.getByRole('row').filter({ hasText: 'pending' }).first().getByRole('link').click();
  await expect(heading(page, /^Delivery of /)).toBeVisible();
  await page.getByRole('button', { name: 'Deliver now' }).click();
  await expect(async () => {
    await page.reload();
    await expect(page.getByText('delivered', { exact: true })).toBeVisible({ timeout: 500 });
  }).toPass();
  await page.goto(`${tollgate.stripe}/_sandbox/deliveries`);
  await page.getByRole('button', { name: 'Release' }).click();
  await expect(page.getByRole('button', { name: 'Hold' })).toBeVisible();
});

test('a customer leads to a payment, its refund, its request and its event', async ({ page, tollgate }) => {
  const customer = await control(tollgate.stripe, 'objects?kind=customer&limit=1');
  expect(customer.data).toHaveLength(1);
  const paid = await fetch(`${tollgate.stripe}/v1/payment_intents`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test_sandbox', 'idempotency-key': `pay-${customer.data[0].id}` },
    body: new URLSearchParams({
      ...{ amount: '500', currency: 'usd', confirm: 'true', payment_method: 'pm_card_visa' },
      customer: customer.data[0].id,
    }),
  });
  const { id } = await paid.json();
  await page.goto(`${tollgate.stripe}/_sandbox/objects`);
  await follow(page, 'cus');
  await expect(heading(page, 'Customer')).toBeVisible();
  await follow(page, 'pi');
  await expect(page.getByRole('main')).toContainText(id);
  await page.getByLabel('Amount in USD').fill('200');
  await page.getByRole('button', { name: 'Refund' }).click();
  await expect(page.getByRole('status')).toContainText('refunded');
  await page.getByRole('link', { name: 'POST /v1/payment_intents' }).click();
  await expect(page.getByRole('main')).toContainText(`pay-${customer.data[0].id}`);
  await page.getByRole('listitem').filter({ hasText: 'payment_intent.succeeded' }).getByRole('link').click();
  await expect(heading(page, 'payment_intent.succeeded')).toBeVisible();
  await page.getByRole('button', { name: 'Deliver again' }).click();
  await expect(page.getByRole('status')).toContainText('delivered');
});

test('a payment is disputed and won', async ({ page, tollgate }) => {
  await page.goto(`${tollgate.stripe}/_sandbox/objects?kind=charge`);
  await follow(page, 'ch');
  await page.getByRole('button', { name: 'Dispute' }).click();
  await expect(page.getByRole('status')).toContainText('disputed');
  await follow(page, 'du');
  await page.getByRole('button', { name: 'Win', exact: true }).click();
  await expect(page.getByRole('main').getByText('won', { exact: true }).first()).toBeVisible();
});

test('calls fail until the faults are reset', async ({ page, tollgate }) => {
  await page.goto(`${tollgate.stripe}/_sandbox/faults`);
  await page.getByLabel('Fail the next calls').fill('3');
  await page.getByLabel('… with status').selectOption('429');
  // The app's own calls should not fail.
  await page.getByLabel('Only calls whose path begins with').fill('/v1/account');
  await page.getByRole('button', { name: 'Apply' }).first().click();
  const account = () =>
    fetch(`${tollgate.stripe}/v1/account`, { headers: { authorization: 'Bearer sk_test_sandbox' } });
  expect((await account()).status).toBe(429);
  await page.goto(`${tollgate.stripe}/_sandbox`);
  const viewFaults = page.getByRole('link', { name: 'View faults' });
  const warning = page.getByRole('paragraph').filter({ has: viewFaults });
  await expect(warning).toContainText('429');
  await expect(warning).toContainText('/v1/account');
  await viewFaults.click();
  await page.getByRole('button', { name: 'Reset' }).first().click();
  expect((await account()).status).toBe(200);
});

test('the pages pass axe in both color schemes and fit a phone @javascript', async ({ page, tollgate }) => {
  test.setTimeout(180_000);
  const first = async (kind: string) => (await control(tollgate.stripe, `objects?kind=${kind}&limit=1`)).data[0].id;
  const one = async (list: string) => (await control(tollgate.stripe, `${list}?limit=1`)).data[0].id;
  const paths = [
    ...['', '/objects', '/events', '/deliveries', '/requests', '/faults'],
    `/objects/${await first('subscription')}`,
    `/objects/${await first('charge')}`,
    `/events/${await one('events')}`,
    `/deliveries/${await one('deliveries')}`,
    `/requests/${await one('requests')}`,
  ];
  for (const path of paths) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(`${tollgate.stripe}/_sandbox${path}`);
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => [id, nodes[0]?.html]), `${path} ${colorScheme}`).toEqual([]);
    }
    await page.setViewportSize({ width: 360, height: 740 });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width, `${path} scrolls sideways`).toBeLessThanOrEqual(360);
    await page.setViewportSize({ width: 1280, height: 800 });
  }
});

test('the keyboard reaches the controls in order', async ({ page, tollgate }) => {
  await page.goto(`${tollgate.stripe}/_sandbox`);
  const reached: string[] = [];
  for (let step = 0; step < 9; step++) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id || ''));
  }
  expect(reached).toEqual([
    ...['Overview', 'Objects', 'Events', 'Deliveries', 'Requests', 'Faults'],
    ...['days', 'Advance', '+ 1 hour'],
  ]);
});
