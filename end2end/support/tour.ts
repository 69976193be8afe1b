// A walk past every page there is, in every state that a visitor can bring about.
// At each stop `look` is called with the stop's name.

import { expect, type Page } from '@playwright/test';
import { CARDS, control, fillCard, pay, sessionOf, type Stripe } from './stripe.ts';
import {
  buy,
  buyButton,
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
  look: (stop: string) => Promise<void>;
}

/** One past what takes a Tollgate of its own: its clock is moved, or its Stripe is steered. */
export interface TourAlone extends Tour {
  own: Tollgate;
}

/** Another site. */
const ELSEWHERE = 'http://elsewhere.example/';

export async function publicPages({ page, watch, email, look }: Tour): Promise<void> {
  for (const path of ['/', '/pricing', '/pricing?plan=PRO&interval=year', '/api-reference', '/signup', '/login']) {
    await page.goto(path);
    await look(path);
  }

  watch.expect(422, /^\/signup$/);
  await page.goto('/signup?next=/pricing?plan=PRO');
  await page.getByLabel('E-mail').fill('nobody');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('E-mail')).toHaveAttribute('aria-invalid', 'true');
  await look('sign-up with faults');

  watch.expect(401, /^\/login$/);
  await page.goto('/login');
  await logIn(page, 'nobody@example.com', 'not the password');
  await expect(page.getByRole('alert')).toBeVisible();
  await look('login refused');
  watch.expect(429, /^\/login$/);
  for (let attempt = 0; attempt < 11; attempt += 1) {
    await page.goto('/login');
    await logIn(page, email, 'not the password');
  }
  await expect(page.getByText('Too many attempts.')).toBeVisible();
  await look('login refused for a while');

  watch.expect(404, /^\/nothing-here$/);
  await page.goto('/nothing-here');
  await look('404');

  const app = new URL('/login', page.url());
  await page.route(ELSEWHERE, (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<title>Elsewhere</title><form method="post" action="${app}"><button>Go</button></form>`,
    }),
  );
  await page.goto(ELSEWHERE);
  watch.expect(403, /^\/login$/);
  await page.getByRole('button', { name: 'Go' }).click();
  await expect(heading(page, 'That request came from elsewhere')).toBeVisible();
  await look('403');
}

export async function freePages({ page, watch, stripe, email, look }: Tour): Promise<void> {
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
    await look(`${path} on Free`);
  }

  watch.expect(422, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await page.locator('input[name=plan]').first().evaluate((input: HTMLInputElement) => (input.value = 'GOLD'));
  await subscribeButton(page, 'Pro').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await look('a plan that is not for sale');
  await page.locator('input[name=plan]').first().evaluate((input) => input.remove());
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'That form was not understood')).toBeVisible();
  await look('422');

  await openCheckout(page);
  await look('Stripe’s Checkout');
  const session = sessionOf(page);
  const checkout = page.url();
  watch.expect(422, /^\/c\/pay\//);
  await page.getByRole('button', { name: 'Start trial' }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await look('Stripe’s Checkout with a fault');
  watch.expect(402, /^\/c\/pay\//);
  await pay(page, CARDS.declined);
  await expect(page.getByText('Your card was declined.')).toBeVisible();
  await look('Stripe’s Checkout with a declined card');
  await pay(page, CARDS.asksForAuthentication);
  await expect(page.getByRole('button', { name: 'Complete authentication' })).toBeVisible();
  await look('the bank’s page');

  await page.goto(`/billing/success?session_id=${session}`);
  await look('success page, not paid');
  await stripe.expire(session);
  watch.expect(410, /^\/c\/pay\//);
  await page.goto(checkout);
  await look('Stripe’s Checkout, closed');
  await page.goto(`/billing/success?session_id=${session}`);
  await look('success page, closed');
}

export async function paidPages({ page, watch, stripe, email, look }: Tour): Promise<void> {
  await signUp(page, email);
  await openCheckout(page);
  const checkout = page.url();
  await pay(page);
  await expect(heading(page, 'You are on Pro')).toBeVisible();
  await look('success page, paid');
  watch.expect(409, /^\/c\/pay\//);
  await page.goto(checkout);
  await look('Stripe’s Checkout, completed');

  for (const path of [
    '/dashboard',
    '/billing?notice=already_subscribed',
    '/pricing',
    '/billing/upgrade?next=/dashboard/analytics',
    '/billing/upgrade?next=/dashboard/support',
    '/dashboard/analytics',
    '/dashboard/api-keys',
    '/dashboard/custom-domain',
  ]) {
    await page.goto(path);
    await look(`${path} on Pro`);
  }

  watch.expect(422, /^\/dashboard\/api-keys$/);
  await page.goto('/dashboard/api-keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByRole('textbox', { name: 'Name' })).toHaveAttribute('aria-invalid', 'true');
  await look('API keys with a fault');
  await page.getByRole('textbox', { name: 'Name' }).fill('The worker that writes invoices every night');
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByLabel('New API key')).toBeVisible();
  await look('API keys with a new one');
  await page.locator('summary', { hasText: 'Revoke' }).click();
  await look('API keys, about to revoke');

  watch.expect(422, /^\/dashboard\/custom-domain$/);
  await page.goto('/dashboard/custom-domain');
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByRole('textbox', { name: 'Domain' })).toHaveAttribute('aria-invalid', 'true');
  await look('custom domain with a fault');
  await page.getByRole('textbox', { name: 'Domain' }).fill(`a-rather-long-name-for-an-app.${email.split('@')[0]}.example.com`);
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByText('CNAME')).toBeVisible();
  await look('custom domain, set');

  await page.request.get('/api/v1/usage');
  await page.goto('/dashboard/analytics');
  await page.getByText('Show the numbers').click();
  await look('analytics with use');

  const [subscription] = await stripe.subscriptions(email);
  await stripe.cancelAtPeriodEnd(subscription!.id);
  await seeOn(page, '/billing', page.getByText('Pro is cancelled.'));
  await look('billing, cancelled');
  await stripe.cancelNow(subscription!.id);
  await seeOn(page, '/billing', page.getByRole('rowheader', { name: 'Pro' }));
  await look('billing with history');
  await page.goto('/pricing');
  await look('/pricing after a trial');
  await page.getByRole('button', { name: 'Subscribe to Pro' }).click();
  await expect(page.getByRole('button', { name: 'Subscribe' })).toBeVisible();
  await look('Stripe’s Checkout without a trial');
}

export async function highestPages({ page, watch, email, look }: Tour): Promise<void> {
  await signUp(page, email);
  await subscribe(page, 'Enterprise');
  for (const path of ['/dashboard', '/billing', '/pricing', '/billing/upgrade', '/dashboard/support']) {
    await page.goto(path);
    await look(`${path} on Enterprise`);
  }
  watch.expect(422, /^\/dashboard\/support$/);
  await page.goto('/dashboard/support');
  await page.getByRole('textbox', { name: 'Subject' }).fill('One of two');
  await page.getByRole('button', { name: 'Send message' }).click();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveAttribute('aria-invalid', 'true');
  await look('support with a fault');
  await page.getByRole('textbox', { name: 'Message' }).fill('A first line.\n\nA second one, which is a good deal longer than the first.');
  await page.getByRole('button', { name: 'Send message' }).click();
  await expect(page.getByText('Your message is with us.')).toBeVisible();
  await look('support with a message');
}

/** Use of the whole of a meter, credits for another, and what becomes of them. */
export async function usedPages({ page, watch, stripe, email, look }: Tour): Promise<void> {
  await signUp(page, email);
  for (const [calls, name] of [[80, 'nearly used up'], [20, 'used up']] as const) {
    for (let call = 0; call < calls; call += 1) expect((await page.request.get('/api/v1/usage')).status()).toBe(200);
    for (const path of ['/dashboard', '/billing']) {
      await page.goto(path);
      await expect(page.getByRole('button', { name: 'Dismiss the notice about API calls' })).toBeVisible();
      await look(`${path}, API calls ${name}`);
    }
  }

  await page.goto('/billing');
  await page.locator('input[name=product]').first().evaluate((input: HTMLInputElement) => (input.value = 'gold'));
  watch.expect(422, /^\/api\/billing\/checkout$/);
  await buyButton(page).click();
  await expect(page.getByText('That is not for sale.')).toBeVisible();
  await look('something that is not for sale');
  await page.goto('/billing');
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  const session = sessionOf(page);
  await look('Stripe’s Checkout for a pack');
  await page.getByRole('link', { name: 'Back' }).click();
  await expect(page.getByText('Nothing was bought.')).toBeVisible();
  await look('billing, back without a pack');
  await page.goto(`/billing/success?session_id=${session}`);
  await look('success page, pack not paid');
  await page.getByRole('link', { name: 'Go on with the payment' }).click();
  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
  await look('success page, pack paid');
  const receipt = page.getByRole('link', { name: /^Receipt for/ });
  await seeOn(page, '/billing', receipt);
  await look('billing with a pack');
  await page.goto('/dashboard');
  await look('/dashboard with credits');
  await page.goto('/billing');
  await receipt.click();
  await look('Stripe’s receipt');
  await stripe.refund(email, 300);
  await seeOn(page, '/billing', page.getByText('Refunded in part'));
  await look('billing after a refund in part');
  await stripe.refund(email, 1_200);
  await seeOn(page, '/billing', page.getByText('Refunded', { exact: true }));
  await look('billing after a refund');
}

/** A trial from its beginning to a payment that fails, and from there to one that does not. */
export async function owingPages({ page, watch, stripe, email, look }: TourAlone): Promise<void> {
  await signUp(page, email);
  await subscribe(page, 'Pro', CARDS.failsWhenCharged);
  await page.goto('/billing');
  await expect(page.getByText('Your free trial of Pro is running.')).toBeVisible();
  await look('billing in a trial');
  await stripe.advance({ days: 11, hours: 12 });
  for (const path of ['/billing', '/dashboard']) {
    await page.goto(path);
    await expect(page.getByText('Your free trial of Pro ends soon.')).toBeVisible();
    await look(`${path}, the trial ends soon`);
  }

  await stripe.endTrial(email);
  const failed = page.getByText('The last payment for Pro failed.');
  await seeOn(page, '/billing', failed);
  await seeOn(page, '/billing', page.getByRole('link', { name: 'Pay now' }));
  await look('billing, past due');
  await page.goto('/dashboard');
  await expect(failed).toBeVisible();
  await look('/dashboard, past due');
  await stripe.advance({ days: 3, hours: 1 });
  await seeOn(page, '/billing', page.getByText('Pro is closed because a payment failed.'));
  await look('billing, closed after a failed payment');
  await page.goto('/pricing');
  await look('/pricing, closed after a failed payment');
  await page.goto('/billing/upgrade?next=/dashboard/analytics');
  await look('/billing/upgrade, closed after a failed payment');

  await page.goto('/billing');
  await page.getByRole('link', { name: 'Pay now' }).click();
  await expect(page.getByRole('heading', { name: 'Pay this invoice' })).toBeVisible();
  await look('Stripe’s invoice, open');
  watch.expect(422, /^\/i\//);
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await look('Stripe’s invoice with a fault');

  await openPortal(page, 'Change the card');
  await look('the portal, past due');
  watch.expect(422, /^\/p\/session\//);
  await page.getByRole('button', { name: 'Save card' }).click();
  await expect(page.getByLabel('Expiry')).toHaveAttribute('aria-invalid', 'true');
  await look('the portal with a fault');
  watch.expect(402, /^\/p\/session\//);
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByText('Your card was declined.')).toBeVisible();
  await look('the portal, payment refused');
  await fillCard(page, CARDS.pays);
  await page.getByRole('button', { name: 'Save card' }).click();
  await page.getByRole('button', { name: /^Pay / }).click();
  await expect(page.getByText('Active, renews on')).toBeVisible();
  await look('the portal, paid');
  await leavePortal(page);
  await seeGone(page, '/billing', page.getByText('Pro is closed because a payment failed.'));
  await seeGone(page, '/billing', page.getByText('To be paid'));
  await look('billing with invoices');
  await page.getByRole('link', { name: /^View invoice/ }).first().click();
  await look('Stripe’s invoice');

  await openPortal(page);
  await page.getByRole('link', { name: 'Cancel plan' }).click();
  await look('the portal, about to cancel');
  await page.getByRole('button', { name: 'Cancel plan' }).click();
  await expect(page.getByText('Ends on')).toBeVisible();
  await look('the portal, cancelled');
  await stripe.advance({ hours: 2 });
  watch.expect(410, /^\/p\/session\//);
  await page.reload();
  await look('the portal, closed');
}

/** A payment that the bank wants to see confirmed. */
export async function confirmingPages({ page, stripe, email, look }: TourAlone): Promise<void> {
  await signUp(page, email);
  await openCheckout(page);
  await pay(page, CARDS.asksEveryTime);
  await page.getByRole('button', { name: 'Complete authentication' }).click();
  await expect(heading(page, 'You are on Pro')).toBeVisible();
  await stripe.advance({ days: 10 });
  await page.goto('/billing');
  await stripe.endTrial(email);
  await seeOn(page, '/billing', page.getByText('Your bank asks you to confirm $29 for Pro.'));
  await look('billing, to be confirmed');
  await page.goto('/dashboard');
  await look('/dashboard, to be confirmed');
}

/** What is shown when Stripe does not answer, or not as it should: nothing can be begun, and nobody knows how a payment ended. */
export async function troubledPages({ page, watch, own, email, look }: TourAlone): Promise<void> {
  await signUp(page, email);
  watch.expect(503, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await control(own.stripe, 'faults', { fail_next: 100, status: 500 });
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'The payment service does not answer')).toBeVisible({ timeout: 30_000 });
  await look('503');
  await control(own.stripe, 'faults', { fail_next: 1, status: 400 });
  watch.expect(500, /^\/api\/billing\/subscribe$/);
  await page.goto('/pricing');
  await subscribeButton(page, 'Pro').click();
  await expect(heading(page, 'Something broke on our side')).toBeVisible();
  await look('500');
  await control(own.stripe, 'faults/clear', {});

  await openCheckout(page);
  await control(own.stripe, 'deliveries/hold', {});
  await control(own.stripe, 'faults', { fail_next: 100, status: 500 });
  await pay(page);
  await expect(heading(page, 'Your payment is on its way')).toBeVisible({ timeout: 30_000 });
  // The page reloads itself; without content for an answer it stays as it is.
  await page.route(SUCCESS, (route) => route.fulfill({ status: 204 }));
  await look('success page, Stripe does not answer');
  await expect(heading(page, 'Your payment is on its way')).toBeVisible();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await control(own.stripe, 'faults/clear', {});
  await page.goto('/billing');
  await look('billing, a payment that is not known yet');
}

/** The way out. */
export async function closingPages({ page, watch, email, look }: Tour): Promise<void> {
  await signUp(page, email);
  await page.goto('/account');
  await look('/account on Free');
  await subscribe(page);
  await page.goto('/account');
  await look('/account on Pro');
  watch.expect(401, /^\/account\/close$/);
  await page.getByLabel('Your password').fill('not the password');
  await page.getByRole('button', { name: 'Close the account for good' }).click();
  await expect(page.getByLabel('Your password')).toHaveAttribute('aria-invalid', 'true');
  await look('/account, wrong password');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Close the account for good' }).click();
  await expect(page.getByText('Your account is closed.')).toBeVisible();
  await look('/ after closing');
}

/** What operators see. */
export async function operatorPages({ page, watch, own, stripe, email, look }: TourAlone): Promise<void> {
  const customer = `somebody-far-away-${email}`;
  await signUp(page, customer);
  await page.goto('/account');
  await look('/account with a long address');
  await subscribe(page);
  await buy(page);
  watch.expect(404, /^\/admin$/);
  await page.goto('/admin');
  await look('/admin for anybody else');
  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page).toHaveURL('/');

  await signUpOperator(page, own, email);
  await page.goto('/admin');
  await expect(page.getByText('Not compared yet')).toBeVisible();
  await look('/admin, not compared yet');
  const [subscription] = await stripe.subscriptions(customer);
  await expect.poll(async () => (await control(own.stripe, 'deliveries?state=pending')).data.length).toBe(0);
  await control(own.stripe, 'deliveries/hold', {});
  await control(own.stripe, `subscriptions/${subscription!.id}/cancel`, { at_period_end: true });
  await control(own.stripe, 'deliveries/drop', {});
  await control(own.stripe, 'deliveries/release', {});
  await own.run('reconcile', '--dry-run');
  await page.goto('/admin');
  await expect(page.getByRole('link', { name: '1', exact: true }).first()).toBeVisible();
  await look('/admin, what differs');
  await page.getByRole('link', { name: 'All differences' }).click();
  const differences = page.getByRole('region', { name: 'Differences, table' });
  await expect(differences.getByText('left', { exact: true }).first()).toBeVisible();
  await look('/admin/drift, what differs');
  await page.getByRole('button', { name: 'Compare now' }).click();
  await expect(differences.getByText('mended', { exact: true }).first()).toBeVisible();
  await look('/admin/drift, what was mended');
  await page.goto('/admin/drift?state=left');
  await expect(page.getByText('No such differences')).toBeVisible();
  await look('/admin/drift, nothing differs');
  await control(own.stripe, 'faults', { fail_next: 1_000_000, status: 500 });
  await page.getByRole('button', { name: 'Compare now' }).click();
  await expect(page.getByText('It did not come to its end.')).toBeVisible();
  await look('/admin/drift, Stripe is away');
  await control(own.stripe, 'faults/clear', {});
  await page.getByRole('button', { name: 'Compare now' }).click();
  await page.goto('/admin');
  await expect(page.getByText('Nothing differs.')).toBeVisible();
  await look('/admin, nothing differs');

  for (const path of ['/admin/events', '/admin/events?state=done', '/admin/events?about=nothing']) {
    await page.goto(path);
    await look(path);
  }
  await page.goto('/admin/events');
  await page.getByRole('link', { name: 'customer.subscription.created' }).click();
  await look('/admin/event');
  await page.getByRole('button', { name: 'Apply again' }).click();
  await expect(page.getByText('It is due again.')).toBeVisible();
  await look('/admin/event, due again');
  watch.expect(404, /^\/admin\/event$/);
  await page.goto('/admin/event?id=evt_nothing');
  await look('/admin/event that is not there');

  for (const path of ['/admin/accounts', '/admin/accounts?search=nobody']) {
    await page.goto(path);
    await look(path);
  }
  await page.goto('/admin/accounts');
  await page.getByRole('link', { name: customer }).click();
  await expect(heading(page, customer)).toBeVisible();
  await look('/admin/account on Pro');
  await page.goto('/admin/accounts');
  await page.getByRole('link', { name: email, exact: true }).click();
  await look('/admin/account on Free');
}

export const TOURS = {
  'public pages': publicPages,
  'pages on Free': freePages,
  'pages on Pro': paidPages,
  'pages on Enterprise': highestPages,
  'pages about use and credits': usedPages,
  'pages about closing': closingPages,
};

export const TOURS_ALONE = {
  'pages about a failed payment': owingPages,
  'pages about a payment to confirm': confirmingPages,
  'pages without a Stripe that answers': troubledPages,
  'pages for operators': operatorPages,
};
