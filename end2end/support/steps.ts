// Users' steps in the app.

import { expect, type Locator, type Page } from '@playwright/test';
import { CARDS, pay } from './stripe.ts';
import type { Tollgate } from './tollgate.ts';

export const PASSWORD = 'correct horse battery';

export const ON_STRIPE = /\/c\/pay\/[^/]+$/;
export const SUCCESS = /\/billing\/success\?session_id=/;
export const IN_PORTAL = /\/p\/session\/[^/]+$/;

export function heading(page: Page, name: string | RegExp) {
  return page.getByRole('heading', { level: 1, name });
}

/** The banner about a failed payment: a `status` in the grace period, and an `alert` once the plan is suspended. */
export function failedPayment(page: Page, role: 'status' | 'alert' = 'status'): Locator {
  return page.getByRole(role).filter({ has: page.getByRole('link', { name: 'Pay $29', exact: true }) });
}

/** The banner about a plan that ends with its period. */
export function canceledPlan(page: Page): Locator {
  return page.getByRole('status').filter({ has: page.getByRole('button', { name: 'Resume plan' }) });
}

/** The bar that shows a meter's usage, whose `value` is what was used. */
export function usageBar(page: Page, meter: string): Locator {
  return page.getByRole('progressbar', { name: meter, exact: true });
}

/** The number of credits, on the billing page; without `count`, any number. */
export function credits(page: Page, count = ''): Locator {
  return page.getByRole('region', { name: 'Usage' }).getByText(new RegExp(`\\b${count} credits\\b`));
}

/** The notice that a meter has reached a threshold. */
export function usageNotice(page: Page, meter: string): Locator {
  return page.getByRole('status').filter({ has: page.getByRole('button', { name: `Dismiss the notice about ${meter}` }) });
}

/** Fills in and sends the sign-up form on the current page. */
export async function fillSignUp(page: Page, email: string): Promise<void> {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
}

export async function signUp(page: Page, email: string): Promise<void> {
  await page.goto('/signup');
  await fillSignUp(page, email);
  await expect(page).toHaveURL('/dashboard');
}

export async function logIn(page: Page, email: string, password = PASSWORD): Promise<void> {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('main').getByRole('button', { name: 'Log in' }).click();
}

export type PaidPlan = 'Pro' | 'Enterprise';

/** Returns the button that sells a plan, on the current page. */
export function subscribeButton(page: Page, plan: PaidPlan) {
  return page.getByRole('button', { name: new RegExp(`^(Start ${plan} trial|Subscribe to ${plan})$`) });
}

/** Opens Checkout from the pricing page. */
export async function openCheckout(page: Page, plan: PaidPlan = 'Pro'): Promise<void> {
  await page.goto('/pricing');
  await subscribeButton(page, plan).click();
  await expect(page).toHaveURL(ON_STRIPE);
}

/** Subscribes to a plan. */
export async function subscribe(page: Page, plan: PaidPlan = 'Pro', card: string = CARDS.pays): Promise<void> {
  await openCheckout(page, plan);
  await pay(page, card);
  await expect(page).toHaveURL(SUCCESS);
  await expect(heading(page, `Welcome to ${plan}`)).toBeVisible();
}

/** Returns the button that sells 500 AI generations, on the billing page. */
export function buyButton(page: Page) {
  return page.getByRole('button', { name: /^Buy 500 AI generations/ });
}

/** Buys 500 AI generations. */
export async function buy(page: Page): Promise<void> {
  await page.goto('/billing');
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
}

/** Opens Stripe's portal with a button on the billing page. */
export async function openPortal(page: Page, button = 'Manage billing'): Promise<void> {
  await page.goto('/billing');
  await page.getByRole('button', { name: button, exact: true }).click();
  await expect(page).toHaveURL(IN_PORTAL);
}

/** Returns from the portal to the billing page. */
export async function leavePortal(page: Page): Promise<void> {
  await page.getByRole('link', { name: /^Return to / }).click();
  await expect(page).toHaveURL('/billing');
}

/** Reloads a page until a webhook has made something appear. */
export async function seeOn(page: Page, path: string, wanted: Locator): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(wanted).toBeVisible({ timeout: 500 });
  }).toPass();
}

/** Reloads a page until a webhook has made something disappear. */
export async function seeGone(page: Page, path: string, unwanted: Locator): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(unwanted).toHaveCount(0, { timeout: 500 });
  }).toPass();
}

/** Signs up, and becomes an operator by the command line. */
export async function signUpOperator(page: Page, tollgate: Tollgate, email: string): Promise<void> {
  await signUp(page, email);
  await tollgate.run('operator', 'add', email, '--yes');
  // The server notices within a second that another process has written.
  await expect.poll(async () => (await page.request.get('/admin')).status()).toBe(200);
}
