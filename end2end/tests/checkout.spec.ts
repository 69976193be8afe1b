// Stripe's page and the way back from it, when things do not go straight.

import type { Page } from '@playwright/test';
import { CARDS, pay, sessionOf, Stripe } from '../support/stripe.ts';
import { heading, ON_STRIPE, openCheckout, signUp, subscribe, subscribeButton } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';
import { Tollgate } from '../support/tollgate.ts';
import { Wire } from '../support/wire.ts';

/** Nothing was sold: analytics still leads to the upgrade page. */
async function expectGateClosed(page: Page): Promise<void> {
  await page.goto('/dashboard/analytics');
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
}

test.beforeEach(async ({ page, email }) => signUp(page, email));

test('a declined card can be followed by one that pays', async ({ page, watch }) => {
  await openCheckout(page);
  watch.expect(402, ON_STRIPE);
  await pay(page, CARDS.declined);
  await expect(page.getByLabel('Card number')).toHaveAccessibleDescription('Your card was declined.');
  await expect(page.getByLabel('Name on card')).toHaveValue('Ada Lovelace');

  await pay(page, CARDS.pays);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
});

test('a declined card sells nothing', async ({ page, watch }) => {
  await openCheckout(page);
  watch.expect(402, ON_STRIPE);
  await pay(page, CARDS.declined);
  await expect(page.getByText('Your card was declined.')).toBeVisible();
  await expectGateClosed(page);
});

test('3-D Secure that succeeds opens the plan', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.asksForAuthentication);
  await page.getByRole('button', { name: 'Complete authentication' }).click();
  await expect(heading(page, 'You are on Pro')).toBeVisible();
});

test('3-D Secure that fails leads back to the form, and another card pays', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.asksForAuthentication);
  await page.getByRole('button', { name: 'Fail authentication' }).click();
  await expect(page).toHaveURL(ON_STRIPE);
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');

  await pay(page, CARDS.pays);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
});

test('a card that fails only when charged starts the trial', async ({ page }) => {
  await openCheckout(page);
  await pay(page, CARDS.failsWhenCharged);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
  await expect(page.getByText('Your free trial runs until')).toBeVisible();
});

test('a Checkout that was left is taken up again where it was', async ({ page, email, stripe }) => {
  await openCheckout(page);
  const session = sessionOf(page);
  await page.getByRole('link', { name: 'Back' }).click();
  await expect(heading(page, 'Pricing')).toBeVisible();
  await expectGateClosed(page);

  await openCheckout(page);
  expect(sessionOf(page)).toBe(session);
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);

  await page.goto(`/billing/success?session_id=${session}`);
  await expect(heading(page, 'Your payment is not finished')).toBeVisible();
  await page.getByRole('link', { name: 'Go on with the payment' }).click();
  await pay(page);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
});

test('a Checkout that expired says so and a new one is had', async ({ page, stripe, watch }) => {
  await openCheckout(page);
  const session = sessionOf(page);
  await stripe.expire(session);
  watch.expect(410, ON_STRIPE);
  await page.reload();
  await expect(heading(page, 'This link has expired')).toBeVisible();

  await page.goto(`/billing/success?session_id=${session}`);
  await expect(heading(page, 'That payment page has closed')).toBeVisible();
  await openCheckout(page);
  expect(sessionOf(page)).not.toBe(session);
});

test('a double click on subscribe makes one session', async ({ page, email, stripe }) => {
  await page.goto('/pricing');
  await subscribeButton(page, 'Pro').dblclick();
  await expect(page).toHaveURL(ON_STRIPE);
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);
  await pay(page);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
});

test('subscribing in two tabs makes one session and one subscription', async ({ page, context, email, stripe }) => {
  const other = await context.newPage();
  for (const tab of [page, other]) await tab.goto('/pricing');
  await Promise.all([page, other].map((tab) => subscribeButton(tab, 'Pro').click()));
  for (const tab of [page, other]) await expect(tab).toHaveURL(ON_STRIPE);
  expect(sessionOf(other)).toBe(sessionOf(page));

  await pay(page);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);
  expect(await stripe.subscriptions(email)).toHaveLength(1);

  await other.goto('/pricing');
  await expect(subscribeButton(other, 'Pro')).toHaveCount(0);
});

test('the pages of an earlier tab cannot buy a second subscription', async ({ page, context, email, stripe }) => {
  const earlier = await context.newPage();
  await earlier.goto('/pricing');
  await subscribe(page);

  await subscribeButton(earlier, 'Enterprise').click();
  await expect(earlier).toHaveURL('/billing?notice=already_subscribed');
  await expect(earlier.getByText('You have a subscription already.')).toBeVisible();
  expect(await stripe.subscriptions(email)).toHaveLength(1);
});

test('choosing another plan closes the Checkout of the first', async ({ page, email, stripe }) => {
  await openCheckout(page, 'Pro');
  const first = sessionOf(page);
  await openCheckout(page, 'Enterprise');
  const sessions = await stripe.checkoutSessions(email);
  expect(sessions.find(({ id }) => id === first)?.status).toBe('expired');
  expect(sessions.filter(({ status }) => status === 'open')).toHaveLength(1);
});

test('the success page says the same when it is loaded again', async ({ page, email, stripe }) => {
  await subscribe(page);
  const said = await page.getByRole('main').innerText();
  await page.reload();
  expect(await page.getByRole('main').innerText()).toBe(said);
  expect(await stripe.subscriptions(email)).toHaveLength(1);
});

test('somebody else’s success page does not exist and signs nobody in', async ({ page, email, visitor }) => {
  await subscribe(page);
  const address = page.url();

  const stranger = await visitor();
  await stranger.page.goto(address);
  await expect(stranger.page).toHaveURL(/\/login\?next=/);

  const neighbour = await visitor();
  await signUp(neighbour.page, `neighbour-${email}`);
  neighbour.watch.expect(404, /^\/billing\/success$/);
  await neighbour.page.goto(address);
  await expect(heading(neighbour.page, 'There is nothing here')).toBeVisible();
});

test('while Stripe does not answer the page waits, and goes on by itself when it does', async ({ tollgate, visitor }) => {
  const wire = await Wire.to(tollgate.stripe);
  const app = await Tollgate.start(wire.url);
  try {
    const { page } = await visitor({ baseURL: app.url });
    const email = `patient-${new URL(app.url).port}@example.com`;
    await signUp(page, email);
    // Asked for without the page: its policy names the wire, not Stripe's page behind it.
    const answer = await page.request.post('/api/billing/subscribe', {
      form: { plan: 'PRO', interval: 'month' },
      maxRedirects: 0,
    });
    await page.goto(answer.headers().location!);
    await expect(page).toHaveURL(ON_STRIPE);

    wire.cut();
    await pay(page);
    await expect(heading(page, 'Your payment is on its way')).toBeVisible({ timeout: 30_000 });
    wire.mend();
    await expect(heading(page, 'You are on Pro')).toBeVisible({ timeout: 30_000 });
    expect(await new Stripe(tollgate.stripe).subscriptions(email)).toHaveLength(1);
  } finally {
    await app.stop();
    wire.close();
  }
});
