// What people do in the app, by what they see.

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

/** Fills in the sign-up form that is open. */
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

/** The button that sells a plan, on the page that is open. */
export function subscribeButton(page: Page, plan: PaidPlan) {
  return page.getByRole('button', { name: new RegExp(`(trial of|Subscribe to) ${plan}`) });
}

/** From the plans to Stripe's page. */
export async function openCheckout(page: Page, plan: PaidPlan = 'Pro'): Promise<void> {
  await page.goto('/pricing');
  await subscribeButton(page, plan).click();
  await expect(page).toHaveURL(ON_STRIPE);
}

/** From the plans to being on one of them. */
export async function subscribe(page: Page, plan: PaidPlan = 'Pro', card: string = CARDS.pays): Promise<void> {
  await openCheckout(page, plan);
  await pay(page, card);
  await expect(page).toHaveURL(SUCCESS);
  await expect(heading(page, `You are on ${plan}`)).toBeVisible();
}

/** The button that sells a pack of 500 generations, on the billing page. */
export function buyButton(page: Page) {
  return page.getByRole('button', { name: /^Buy 500 AI generations/ });
}

/** From the billing page to having bought 500 generations. */
export async function buy(page: Page): Promise<void> {
  await page.goto('/billing');
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
}

/** From the billing page to Stripe's portal, by a button there. */
export async function openPortal(page: Page, button = 'Cards, invoices, cancelling'): Promise<void> {
  await page.goto('/billing');
  await page.getByRole('button', { name: button }).click();
  await expect(page).toHaveURL(IN_PORTAL);
}

/** From the portal back to the billing page. */
export async function leavePortal(page: Page): Promise<void> {
  await page.getByRole('link', { name: /^Return to / }).click();
  await expect(page).toHaveURL('/billing');
}

/** Loads a page until something is on it that Stripe's webhook brings. */
export async function seeOn(page: Page, path: string, wanted: Locator): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(wanted).toBeVisible({ timeout: 500 });
  }).toPass();
}

/** Loads a page until something is gone from it that Stripe's webhook takes away. */
export async function seeGone(page: Page, path: string, unwanted: Locator): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(unwanted).toHaveCount(0, { timeout: 500 });
  }).toPass();
}

/** Signs up and becomes an operator, as the command line makes one. */
export async function signUpOperator(page: Page, tollgate: Tollgate, email: string): Promise<void> {
  await signUp(page, email);
  await tollgate.run('operator', 'add', email);
  // The server hears within a second of what another program has written.
  await expect.poll(async () => (await page.request.get('/admin')).status()).toBe(200);
}
