// Checkout and the way back from it: declined cards, 3-D Secure, abandoned and repeated checkouts.

import type { Page } from '@playwright/test';
import { CARDS, pay, sessionOf, Stripe } from '../support/stripe.ts';
import { heading, ON_STRIPE, openCheckout, signUp, subscribe, subscribeButton } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';
import { Tollgate } from '../support/tollgate.ts';
import { Proxy } from '../support/proxy.ts';

/** Expects that nothing was sold: analytics still redirects to the upgrade page. */
async function expectGateClosed(page: Page): Promise<void> {
  await page.goto('/dashboard/analytics');
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
}

test.beforeEach(async ({ page, email }) => signUp(page, email));

test('another card can pay after a declined one', async ({ page, watch }) => {
  await openCheckout(page);
  watch.expect(402, ON_STRIPE);
  await pay(page, CARDS.declined);
  await expect(page.getByLabel('Card number')).toHaveAccessibleDescription(/declined/);
  await expect(page.getByLabel('Name on card')).toHaveValue('Ada Lovelace');

  await pay(page, CARDS.pays);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
});

test('a declined card sells nothing', async ({ page, watch }) => {
  await openCheckout(page);
  watch.expect(402, ON_STRIPE);
  await pay(page, CARDS.declined);
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');
  await expectGateClosed(page);
});

test('successful 3-D Secure starts the plan', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.asksForAuthentication);
  await page.getByRole('button', { name: 'Complete authentication' }).click();
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
});

test('after failed 3-D Secure another card can pay', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.asksForAuthentication);
  await page.getByRole('button', { name: 'Fail authentication' }).click();
  await expect(page).toHaveURL(ON_STRIPE);
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');

  await pay(page, CARDS.pays);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
});

test('a card that fails only when charged starts the trial', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.failsWhenCharged);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
  await page.goto('/billing');
  await expect(page.getByRole('status')).toContainText('14 days');
});

test('an abandoned checkout can be continued', async ({ page, email, stripe }) => {
  await openCheckout(page);
  const session = sessionOf(page);
  await page.getByRole('link', { name: 'Back' }).click();
  await expect(heading(page, 'Pricing')).toBeVisible();
  await expect(page.getByRole('status')).toBeVisible();
  await expectGateClosed(page);

  await openCheckout(page);
  expect(sessionOf(page)).toBe(session);
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);

  await page.goto(`/billing/success?session_id=${session}`);
  await expect(heading(page, "Your payment isn't complete")).toBeVisible();
  await page.getByRole('link', { name: 'Continue to payment' }).click();
  await pay(page);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
});

test('an expired checkout says so, and a new one can be opened', async ({ page, stripe, watch }) => {
  await openCheckout(page);
  const session = sessionOf(page);
  await stripe.expire(session);
  watch.expect(410, ON_STRIPE);
  await page.reload();
  await expect(heading(page, 'This link has expired')).toBeVisible();

  await page.goto(`/billing/success?session_id=${session}`);
  await expect(heading(page, 'This checkout expired')).toBeVisible();
  await openCheckout(page);
  expect(sessionOf(page)).not.toBe(session);
});

test('a double click on subscribe creates one session', async ({ page, email, stripe }) => {
  await page.goto('/pricing');
  await subscribeButton(page, 'Pro').dblclick();
  await expect(page).toHaveURL(ON_STRIPE);
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);
  await pay(page);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
});

test('subscribing in two tabs creates one session and one subscription', async ({ page, context, email, stripe }) => {
  const other = await context.newPage();
  for (const tab of [page, other]) await tab.goto('/pricing');
  await Promise.all([page, other].map((tab) => subscribeButton(tab, 'Pro').click()));
  for (const tab of [page, other]) await expect(tab).toHaveURL(ON_STRIPE);
  expect(sessionOf(other)).toBe(sessionOf(page));

  await pay(page);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);
  expect(await stripe.subscriptions(email)).toHaveLength(1);

  await other.goto('/pricing');
  await expect(subscribeButton(other, 'Pro')).toHaveCount(0);
});

test('a page from before the purchase cannot buy a second subscription', async ({ page, context, email, stripe }) => {
  const earlier = await context.newPage();
  await earlier.goto('/pricing');
  await subscribe(page);

  await subscribeButton(earlier, 'Enterprise').click();
  await expect(earlier).toHaveURL('/billing?notice=already_subscribed');
  await expect(earlier.getByRole('status').filter({ hasText: 'already' })).toBeVisible();
  expect(await stripe.subscriptions(email)).toHaveLength(1);
});

test('choosing another plan expires the first checkout', async ({ page, email, stripe }) => {
  await openCheckout(page, 'Pro');
  const first = sessionOf(page);
  await openCheckout(page, 'Enterprise');
  const sessions = await stripe.checkoutSessions(email);
  expect(sessions.find(({ id }) => id === first)?.status).toBe('expired');
  expect(sessions.filter(({ status }) => status === 'open')).toHaveLength(1);
});

test('reloading the success page changes nothing', async ({ page, email, stripe }) => {
  await subscribe(page);
  const text = await page.getByRole('main').innerText();
  await page.reload();
  expect(await page.getByRole('main').innerText()).toBe(text);
  expect(await stripe.subscriptions(email)).toHaveLength(1);
});

test('a success page of another account returns 404 and signs no one in', async ({ page, email, visitor }) => {
  await subscribe(page);
  const address = page.url();

  const anonymous = await visitor();
  await anonymous.page.goto(address);
  await expect(anonymous.page).toHaveURL(/\/login\?next=/);

  const other = await visitor();
  await signUp(other.page, `other-${email}`);
  other.watch.expect(404, /^\/billing\/success$/);
  await other.page.goto(address);
  await expect(heading(other.page, 'Page not found')).toBeVisible();
});

test('while Stripe is unreachable the success page waits, and continues automatically', async ({ tollgate, visitor }) => {
  const proxy = await Proxy.to(tollgate.stripe);
  const app = await Tollgate.start(proxy.url);
  try {
    const { page } = await visitor({ baseURL: app.url });
    const email = `patient-${new URL(app.url).port}@example.com`;
    await signUp(page, email);
    await openCheckout(page);

    proxy.cut();
    await pay(page);
    await expect(heading(page, 'Your payment is pending')).toBeVisible({ timeout: 30_000 });
    proxy.restore();
    await expect(heading(page, 'Welcome to Pro')).toBeVisible({ timeout: 30_000 });
    expect(await new Stripe(tollgate.stripe).subscriptions(email)).toHaveLength(1);
  } finally {
    await app.stop();
    proxy.close();
  }
});
