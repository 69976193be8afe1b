// The main job: from the home page to a page of a paid plan.

import { CARDS, pay } from '../support/stripe.ts';
import { fillSignUp, heading, ON_STRIPE, subscribeButton, SUCCESS } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('a visitor signs up, subscribes to Pro and opens analytics', async ({ page, email }, info) => {
  await page.goto('/');
  await page.getByRole('link', { name: 'Create a free account' }).click();
  await fillSignUp(page, email);
  await expect(heading(page, 'Dashboard')).toBeVisible();

  await page.getByRole('link', { name: 'Analytics' }).click();
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
  await expect(heading(page, 'Get Analytics with Pro')).toBeVisible();

  await subscribeButton(page, 'Pro').click();
  await expect(page).toHaveURL(ON_STRIPE);
  await pay(page, CARDS.pays);
  const paid = performance.now();
  await expect(page).toHaveURL(SUCCESS);
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();
  await expect(page.getByRole('banner')).not.toContainText('Free');

  await page.goto('/dashboard/analytics');
  await expect(heading(page, 'Analytics')).toBeVisible();
  const seconds = ((performance.now() - paid) / 1000).toFixed(2);
  info.annotations.push({ type: 'paid → opened', description: `${seconds} s` });
  console.log(`  from paying to analytics open: ${seconds} s (${info.project.name})`);
});

test('a visitor who chooses a plan returns to it after signing up', async ({ page, email }) => {
  await page.goto('/pricing');
  await page.getByRole('navigation', { name: 'Billing interval' }).getByRole('link', { name: 'Yearly' }).click();
  await page.getByRole('link', { name: 'Start Pro trial' }).click();
  await fillSignUp(page, email);
  await expect(page).toHaveURL('/pricing?plan=PRO&interval=year');

  await subscribeButton(page, 'Pro').click();
  await expect(page).toHaveURL(ON_STRIPE);
  await expect(page.getByText('$290.00').first()).toBeVisible();
});
