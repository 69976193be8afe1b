// Stripe's pages on separate origins, some of which our pages cannot name: a browser stops a form's redirect to an
// origin that `form-action` does not allow, and shows nothing.

import type { Page } from '@playwright/test';
import { fillSignUp, heading, logIn, seeOn, signUp, subscribeButton, SUCCESS } from '../support/steps.ts';
import { control, pay } from '../support/stripe.ts';
import { alone as test, expect } from '../support/test.ts';

const at = (kind: string, path: string) => new RegExp(`^http://${kind}\\.localhost:\\d+${path}`);

/** Signs up and buys Pro at a Checkout on a separate origin. */
async function subscribe(page: Page, email: string): Promise<void> {
  await signUp(page, email);
  await page.goto('/pricing');
  await subscribeButton(page, 'Pro').click();
  await expect(page).toHaveURL(at('checkout', '/c/pay/'));
  await pay(page);
  await expect(page).toHaveURL(SUCCESS);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
}

test.beforeEach(async ({ stripe }) => {
  await control(stripe.url, 'settings', { separate_origins: true });
});

test('a plan is bought at a Checkout on another domain, and managed in a portal on a third', async ({ page, email }) => {
  await subscribe(page, email);

  await page.goto('/billing');
  await page.getByRole('button', { name: 'Manage billing', exact: true }).click();
  await expect(page).toHaveURL(at('billing', '/p/session/'));
  await page.getByRole('link', { name: /^Return to / }).click();
  await expect(page).toHaveURL('/billing');
});

test('a login continues to an invoice in Stripe', async ({ page, email }) => {
  await subscribe(page, email);
  const invoice = page.locator('a[href^="/billing/invoice?id="]').first();
  await seeOn(page, '/billing', invoice);
  const href = await invoice.getAttribute('href');

  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page).toHaveURL('/');
  await page.goto(href!);
  await expect(page).toHaveURL(/\/login\?next=/);
  await logIn(page, email);
  await expect(page).toHaveURL(at('invoice', '/i/'));
});

test('after signing up the visitor returns to the plan and continues to Checkout', async ({ page, email }) => {
  await page.goto('/pricing');
  await page.getByRole('link', { name: 'Start Pro trial' }).click();
  await fillSignUp(page, email);
  await expect(page).toHaveURL(/\/pricing\?plan=PRO/);
  await subscribeButton(page, 'Pro').click();
  await expect(page).toHaveURL(at('checkout', '/c/pay/'));
});
