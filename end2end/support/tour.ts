// A tour of every page in every state that a visitor can cause. `check` is called at each stop.

import { expect, type Page } from '@playwright/test';
import { CARDS, control, fillCard, pay, sessionOf, type Stripe } from './stripe.ts';
import {
  buy,
  buyButton,
  canceledPlan,
  failedPayment,
  heading,
  leavePortal,
  logIn,
  ON_STRIPE,
  openCheckout,
  openPortal,
  PASSWORD,
  seeGone,
  seeOn,
  signUp,
  signUpOperator,
  subscribe,
  subscribeButton,
  SUCCESS,
} from './steps.ts';
import type { Tollgate } from './tollgate.ts';
import type { Watch } from './watch.ts';

export interface Tour {
  page: Page;
  watch: Watch;
  stripe: Stripe;
  email: string;
  check: (stop: string) => Promise<void>;
}

/** A tour that needs its own Tollgate, because it moves the clock or changes the sandbox. */
export interface TourAlone extends Tour {
  own: Tollgate;
}

/** Another site. */
const OTHER_SITE = 'http://other.example/';

export async function publicPages({ page, watch, email, check }: Tour): Promise<void> {
  for (const path of ['/', '/pricing', '/pricing?plan=PRO&interval=year', '/api-reference', '/signup', '/login']) {
    await page.goto(path);
    await check(path);
  }

  watch.expect(422, /^\/signup$/);
  await page.goto('/signup?next=/pricing?plan=PRO');
  await page.getByLabel('E-mail').fill('ada');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('E-mail')).toHaveAttribute('aria-invalid', 'true');
  await check('sign-up with errors');

  watch.expect(401, /^\/login$/);
  await page.goto('/login');
  await logIn(page, 'unknown@example.com', 'not the password');
  await expect(page.getByRole('alert')).toBeVisible();
  await check('login rejected');
  watch.expect(429, /^\/login$/);
  for (let attempt = 0; attempt < 11; attempt += 1) {
    await page.goto('/login');
    await logIn(page, email, 'not the password');
  }
  await expect(page.getByRole('alert')).toBeVisible();
  await check('login rejected for a while');

  watch.expect(404, /^\/nothing-here$/);
  await page.goto('/nothing-here');
  await check('404');

  const app = new URL('/login', page.url());
  await page.route(OTHER_SITE, (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<title>Another site</title><form method="post" action="${app}"><button>Go</button></form>`,
    }),
  );
  await page.goto(OTHER_SITE);
  watch.expect(403, /^\/login$/);
  await page.getByRole('button', { name: 'Go' }).click();
  await expect(heading(page, 'Request blocked')).toBeVisible();
  await check('403');
}

export async function freePages({ page, watch, stripe, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  for (const path of [
    '/dashboard',
    '/billing',
    '/pricing',
    '/billing/upgrade',
    '/billing/upgrade?next=/dashboard/analytics',
    '/billing/upgrade?next=/dashboard/support&interval=year',
  ]) {
    await page.goto(path);
    await check(`${path} on Free`);
  }

  watch.expect(422, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await page.locator('input[name=plan]').first().evaluate((input: HTMLInputElement) => (input.value = 'GOLD'));
  await subscribeButton(page, 'Pro').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await check('a plan that is not for sale');
  await page.locator('input[name=plan]').first().evaluate((input) => input.remove());
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'Invalid form')).toBeVisible();
  await check('422');

  await openCheckout(page);
  await check('Stripe’s Checkout');
  const session = sessionOf(page);
  const checkout = page.url();
  watch.expect(422, /^\/c\/pay\//);
  await page.getByRole('button', { name: 'Start trial' }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await check('Stripe’s Checkout with an error');
  watch.expect(402, /^\/c\/pay\//);
  await pay(page, CARDS.declined);
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');
  await check('Stripe’s Checkout with a declined card');
  await pay(page, CARDS.asksForAuthentication);
  await expect(page.getByRole('button', { name: 'Complete authentication' })).toBeVisible();
  await check('the bank’s page');

  await page.goto(`/billing/success?session_id=${session}`);
  await check('success page, not paid');
  await stripe.expire(session);
  watch.expect(410, /^\/c\/pay\//);
  await page.goto(checkout);
  await check('Stripe’s Checkout, closed');
  await page.goto(`/billing/success?session_id=${session}`);
  await check('success page, closed');
}

export async function paidPages({ page, watch, stripe, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  await openCheckout(page);
  const checkout = page.url();
  await pay(page);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
  await check('success page, paid');
  watch.expect(409, /^\/c\/pay\//);
  await page.goto(checkout);
  await check('Stripe’s Checkout, completed');

  for (const path of [
    '/dashboard',
    '/billing?notice=already_subscribed',
    '/pricing',
    '/billing/upgrade?next=/dashboard/analytics',
    '/billing/upgrade?next=/dashboard/support',
  ]) {
    await page.goto(path);
    await check(`${path} on Pro`);
  }

  const [subscription] = await stripe.subscriptions(email);
  await stripe.cancelAtPeriodEnd(subscription!.id);
  await seeOn(page, '/billing', canceledPlan(page));
  await check('billing, canceled');
  await stripe.cancelNow(subscription!.id);
  await seeOn(page, '/billing', page.getByRole('rowheader', { name: 'Pro' }));
  await check('billing with a past subscription');
  await page.goto('/pricing');
  await check('/pricing after a trial');
  await page.getByRole('button', { name: 'Subscribe to Pro' }).click();
  await expect(page.getByRole('button', { name: 'Subscribe' })).toBeVisible();
  await check('Stripe’s Checkout without a trial');
}

/** The pages that require a paid plan. */
export async function gatedPages({ page, watch, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  await subscribe(page);
  for (const path of ['/dashboard/analytics', '/dashboard/api-keys', '/dashboard/custom-domain']) {
    await page.goto(path);
    await check(`${path} on Pro`);
  }

  watch.expect(422, /^\/dashboard\/api-keys$/);
  await page.goto('/dashboard/api-keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByRole('textbox', { name: 'Name' })).toHaveAttribute('aria-invalid', 'true');
  await check('API keys with an error');
  await page.getByRole('textbox', { name: 'Name' }).fill('The worker that writes invoices every night');
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByLabel('New API key')).toBeVisible();
  await check('API keys with a new one');
  await page.locator('summary', { hasText: 'Revoke' }).click();
  await check('API keys, about to revoke');

  watch.expect(422, /^\/dashboard\/custom-domain$/);
  await page.goto('/dashboard/custom-domain');
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByRole('textbox', { name: 'Domain' })).toHaveAttribute('aria-invalid', 'true');
  await check('custom domain with an error');
  await page.getByRole('textbox', { name: 'Domain' }).fill(`a-rather-long-name-for-an-app.${email.split('@')[0]}.example.com`);
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByText('CNAME')).toBeVisible();
  await check('custom domain, set');

  await page.request.get('/api/v1/usage');
  await page.goto('/dashboard/analytics');
  await page.locator('summary').click();
  await check('analytics with usage');
}

export async function highestPages({ page, watch, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  await subscribe(page, 'Enterprise');
  for (const path of ['/dashboard', '/billing', '/pricing', '/billing/upgrade', '/dashboard/support']) {
    await page.goto(path);
    await check(`${path} on Enterprise`);
  }
  watch.expect(422, /^\/dashboard\/support$/);
  await page.goto('/dashboard/support');
  await page.getByRole('textbox', { name: 'Subject' }).fill('One of two');
  await page.getByRole('button', { name: 'Send message' }).click();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveAttribute('aria-invalid', 'true');
  await check('support with an error');
  await page.getByRole('textbox', { name: 'Message' }).fill('A first line.\n\nA second one, which is a good deal longer than the first.');
  await page.getByRole('button', { name: 'Send message' }).click();
  await expect(page.getByRole('status')).toContainText(email);
  await check('support with a message');
}

/** A used-up meter, credits for another one, and their refund. */
export async function usedPages({ page, watch, stripe, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  for (const [calls, name] of [[80, 'almost used up'], [20, 'used up']] as const) {
    for (let call = 0; call < calls; call += 1) expect((await page.request.get('/api/v1/usage')).status()).toBe(200);
    for (const path of ['/dashboard', '/billing']) {
      await page.goto(path);
      await expect(page.getByRole('button', { name: 'Dismiss the notice about API calls' })).toBeVisible();
      await check(`${path}, API calls ${name}`);
    }
  }

  await page.goto('/billing');
  await page.locator('input[name=product]').first().evaluate((input: HTMLInputElement) => (input.value = 'gold'));
  watch.expect(422, /^\/api\/billing\/checkout$/);
  await buyButton(page).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await check('a product that is not for sale');
  await page.goto('/billing');
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  const session = sessionOf(page);
  await check('Stripe’s Checkout for a pack');
  await page.getByRole('link', { name: 'Back' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Checkout' })).toBeVisible();
  await check('billing, back without a pack');
  await page.goto(`/billing/success?session_id=${session}`);
  await check('success page, pack not paid');
  await page.getByRole('link', { name: 'Continue to payment' }).click();
  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
  await check('success page, pack paid');
  const receipt = page.getByRole('link', { name: /^Receipt for/ });
  await seeOn(page, '/billing', receipt);
  await check('billing with a pack');
  await page.goto('/dashboard');
  await check('/dashboard with credits');
  await page.goto('/billing');
  await receipt.click();
  await check('Stripe’s receipt');
  await stripe.refund(email, 300);
  await seeOn(page, '/billing', page.getByText('Partly refunded'));
  await check('billing after a partial refund');
  await stripe.refund(email, 1_200);
  await seeOn(page, '/billing', page.getByText('Refunded', { exact: true }));
  await check('billing after a refund');
}

/** A trial, a failed payment, and the payment that restores the plan. */
export async function owingPages({ page, watch, stripe, email, check }: TourAlone): Promise<void> {
  await signUp(page, email);
  await subscribe(page, 'Pro', CARDS.failsWhenCharged);
  await page.goto('/billing');
  await expect(page.getByRole('status')).toContainText('14 days');
  await check('billing in a trial');
  await stripe.advance({ days: 11, hours: 12 });
  for (const path of ['/billing', '/dashboard']) {
    await page.goto(path);
    await expect(page.getByRole('status')).toContainText('3 days');
    await check(`${path}, the trial ends soon`);
  }

  await stripe.endTrial(email);
  await seeOn(page, '/billing', failedPayment(page));
  await check('billing, past due');
  await page.goto('/dashboard');
  await expect(failedPayment(page)).toBeVisible();
  await check('/dashboard, past due');
  await stripe.advance({ days: 3, hours: 1 });
  await seeOn(page, '/billing', failedPayment(page, 'alert'));
  await check('billing, suspended');
  await page.goto('/pricing');
  await check('/pricing, suspended');
  await page.goto('/billing/upgrade?next=/dashboard/analytics');
  await check('/billing/upgrade, suspended');

  await page.goto('/billing');
  await page.getByRole('link', { name: 'Pay $29', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Pay this invoice' })).toBeVisible();
  await check('Stripe’s invoice, open');
  watch.expect(422, /^\/i\//);
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await check('Stripe’s invoice with an error');

  await openPortal(page, 'Update card');
  await check('the portal, past due');
  watch.expect(422, /^\/p\/session\//);
  await page.getByRole('button', { name: 'Save card' }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await check('the portal with an error');
  watch.expect(402, /^\/p\/session\//);
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');
  await check('the portal, payment declined');
  await fillCard(page, CARDS.pays);
  await page.getByRole('button', { name: 'Save card' }).click();
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByRole('button', { name: /^Pay / })).toHaveCount(0);
  await check('the portal, paid');
  await leavePortal(page);
  await seeGone(page, '/billing', failedPayment(page, 'alert'));
  await seeGone(page, '/billing', page.getByText('Due', { exact: true }));
  await check('billing with invoices');
  await page.getByRole('link', { name: /^View invoice/ }).first().click();
  await check('Stripe’s invoice');

  await openPortal(page);
  await page.getByRole('link', { name: 'Cancel plan' }).click();
  await check('the portal, about to cancel');
  await page.getByRole('button', { name: 'Cancel plan' }).click();
  await expect(page.getByRole('button', { name: "Don't cancel" })).toBeVisible();
  await check('the portal, canceled');
  await stripe.advance({ hours: 2 });
  watch.expect(410, /^\/p\/session\//);
  await page.reload();
  await check('the portal, closed');
}

/** A payment that the customer has to confirm with their bank. */
export async function confirmingPages({ page, stripe, email, check }: TourAlone): Promise<void> {
  await signUp(page, email);
  await openCheckout(page);
  await pay(page, CARDS.asksEveryTime);
  await page.getByRole('button', { name: 'Complete authentication' }).click();
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
  await stripe.advance({ days: 10 });
  await page.goto('/billing');
  await stripe.endTrial(email);
  await seeOn(page, '/billing', page.getByRole('alert'));
  await check('billing, to be confirmed');
  await page.goto('/dashboard');
  await check('/dashboard, to be confirmed');
}

/** Pages while Stripe is unreachable or rejects requests: nothing can be bought, and a payment's outcome is unknown. */
export async function troubledPages({ page, watch, own, email, check }: TourAlone): Promise<void> {
  await signUp(page, email);
  watch.expect(503, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await control(own.stripe, 'faults', { fail_next: 100, status: 500 });
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'Payments are unavailable')).toBeVisible({ timeout: 30_000 });
  await check('503');
  await control(own.stripe, 'faults', { fail_next: 1, status: 400 });
  watch.expect(500, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'Something went wrong')).toBeVisible();
  await check('500');
  await control(own.stripe, 'faults/clear', {});

  await openCheckout(page);
  await control(own.stripe, 'deliveries/hold', {});
  await control(own.stripe, 'faults', { fail_next: 100, status: 500 });
  await pay(page);
  await expect(heading(page, 'Your payment is pending')).toBeVisible({ timeout: 30_000 });
  // The page reloads itself. A response without content keeps it as it is.
  await page.route(SUCCESS, (route) => route.fulfill({ status: 204 }));
  await check('success page, Stripe is unreachable');
  await expect(heading(page, 'Your payment is pending')).toBeVisible();
  await control(own.stripe, 'faults/clear', {});
  // The page may reload itself at the same moment.
  await expect(async () => {
    await page.goto('/billing');
  }).toPass();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await check('billing, payment unknown');
}

/** Deleting the account. */
export async function closingPages({ page, watch, email, check }: Tour): Promise<void> {
  await signUp(page, email);
  await page.goto('/account');
  await check('/account on Free');
  await subscribe(page);
  await page.goto('/account');
  await check('/account on Pro');
  watch.expect(401, /^\/account\/close$/);
  await page.getByLabel('Your password').fill('not the password');
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page.getByLabel('Your password')).toHaveAttribute('aria-invalid', 'true');
  await check('/account, wrong password');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await check('/ after deleting the account');
}

/** The operators' pages. */
export async function operatorPages({ page, watch, own, stripe, email, check }: TourAlone): Promise<void> {
  const customer = `customer-far-away-${email}`;
  await signUp(page, customer);
  await page.goto('/account');
  await check('/account with a long address');
  await subscribe(page);
  await buy(page);
  watch.expect(404, /^\/admin$/);
  await page.goto('/admin');
  await check('/admin for everyone else');
  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page).toHaveURL('/');

  await signUpOperator(page, own, email);
  await page.goto('/admin');
  const sync = page.getByRole('region', { name: 'Stripe sync' });
  await expect(sync).toBeVisible();
  await expect(sync.getByRole('time')).toHaveCount(0);
  await check('/admin, not checked yet');
  const [subscription] = await stripe.subscriptions(customer);
  await expect.poll(async () => (await control(own.stripe, 'deliveries?state=pending')).data.length).toBe(0);
  await control(own.stripe, 'deliveries/hold', {});
  await control(own.stripe, `subscriptions/${subscription!.id}/cancel`, { at_period_end: true });
  await control(own.stripe, 'deliveries/drop', {});
  await control(own.stripe, 'deliveries/release', {});
  await own.run('reconcile', '--dry-run');
  await page.goto('/admin');
  await expect(page.getByRole('link', { name: '1', exact: true }).first()).toBeVisible();
  await check('/admin, differences');
  await page.getByRole('link', { name: 'All differences' }).click();
  const differences = page.getByRole('region', { name: 'Differences, table' });
  await expect(differences.getByText('open', { exact: true }).first()).toBeVisible();
  await check('/admin/drift, differences');
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(differences.getByText('fixed', { exact: true }).first()).toBeVisible();
  await check('/admin/drift, fixed');
  await page.goto('/admin/drift?state=open');
  await expect(page.getByText('No differences')).toBeVisible();
  await check('/admin/drift, in sync');
  await control(own.stripe, 'faults', { fail_next: 1_000_000, status: 500 });
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await check('/admin/drift, Stripe is unreachable');
  await control(own.stripe, 'faults/clear', {});
  await page.getByRole('button', { name: 'Check now' }).click();
  await page.goto('/admin');
  await expect(sync.getByRole('time')).toHaveCount(1);
  await expect(sync.getByRole('definition')).toHaveCount(0);
  await check('/admin, in sync');

  for (const path of ['/admin/events', '/admin/events?state=done', '/admin/events?about=nothing']) {
    await page.goto(path);
    await check(path);
  }
  await page.goto('/admin/events');
  await page.getByRole('link', { name: 'customer.subscription.created' }).click();
  await check('/admin/event');
  await page.getByRole('button', { name: 'Replay' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await check('/admin/event, replayed');
  watch.expect(404, /^\/admin\/event$/);
  await page.goto('/admin/event?id=evt_nothing');
  await check('/admin/event that is not there');

  for (const path of ['/admin/accounts', '/admin/accounts?search=unknown']) {
    await page.goto(path);
    await check(path);
  }
  await page.goto('/admin/accounts');
  await page.getByRole('link', { name: customer }).click();
  await expect(heading(page, customer)).toBeVisible();
  await check('/admin/account on Pro');
  await page.goto('/admin/accounts');
  await page.getByRole('link', { name: email, exact: true }).click();
  await check('/admin/account on Free');
}

export const TOURS = {
  'public pages': publicPages,
  'pages on Free': freePages,
  'pages on Pro': paidPages,
  'gated pages': gatedPages,
  'pages on Enterprise': highestPages,
  'pages about usage and credits': usedPages,
  'pages about deleting the account': closingPages,
};

export const TOURS_ALONE = {
  'pages about a failed payment': owingPages,
  'pages about a payment to confirm': confirmingPages,
  'pages while Stripe is unreachable': troubledPages,
  'pages for operators': operatorPages,
};
