// A walk past every page there is, in every state that a visitor can bring about.
// At each stop `look` is called with the stop's name.

import { expect, type Page } from '@playwright/test';
import { CARDS, pay, sessionOf, type Stripe } from './stripe.ts';
import { heading, logIn, openCheckout, signUp, subscribe, subscribeButton } from './steps.ts';
import type { Watch } from './watch.ts';

export interface Tour {
  page: Page;
  watch: Watch;
  stripe: Stripe;
  email: string;
  look: (stop: string) => Promise<void>;
}

export async function publicPages({ page, watch, look }: Tour): Promise<void> {
  for (const path of ['/', '/pricing', '/pricing?plan=PRO&interval=year', '/signup', '/login']) {
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

  watch.expect(404, /^\/nothing-here$/);
  await page.goto('/nothing-here');
  await look('404');
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
  await expect(async () => {
    await page.goto('/billing');
    await expect(page.getByText('Pro is cancelled.')).toBeVisible({ timeout: 500 });
  }).toPass();
  await look('billing, cancelled');
  await stripe.cancelNow(subscription!.id);
  await expect(async () => {
    await page.goto('/billing');
    await expect(page.getByRole('rowheader', { name: 'Pro' })).toBeVisible({ timeout: 500 });
  }).toPass();
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

export const TOURS = { 'public pages': publicPages, 'pages on Free': freePages, 'pages on Pro': paidPages, 'pages on Enterprise': highestPages };
