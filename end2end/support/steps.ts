// What people do in the app, by what they see.

import { expect, type Page } from '@playwright/test';
import { pay } from './stripe.ts';

export const PASSWORD = 'correct horse battery';

export const ON_STRIPE = /\/c\/pay\/[^/]+$/;
export const SUCCESS = /\/billing\/success\?session_id=/;

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
export async function subscribe(page: Page, plan: PaidPlan = 'Pro'): Promise<void> {
  await openCheckout(page, plan);
  await pay(page);
  await expect(page).toHaveURL(SUCCESS);
  await expect(heading(page, `You are on ${plan}`)).toBeVisible();
}
