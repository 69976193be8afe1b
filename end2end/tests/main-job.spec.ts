// What Tollgate is for, from the first click to the page that was paid for.

import { CARDS, pay } from '../support/stripe.ts';
import { fillSignUp, heading, ON_STRIPE, subscribeButton, SUCCESS } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('sign up, meet the gate, subscribe to Pro, and be let in', async ({ page, email }, info) => {
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
  await expect(heading(page, 'You are on Pro')).toBeVisible();
  await expect(page.getByRole('banner')).not.toContainText('Free');

  await page.goto('/dashboard/analytics');
  await expect(heading(page, 'Analytics')).toBeVisible();
  const seconds = ((performance.now() - paid) / 1000).toFixed(2);
  info.annotations.push({ type: 'paid → open', description: `${seconds} s` });
  console.log(`  from paying to analytics open: ${seconds} s (${info.project.name})`);
});

test('somebody who chooses a plan first signs up and is back at that plan', async ({ page, email }) => {
  await page.goto('/pricing');
  await page.getByRole('navigation', { name: 'Billing interval' }).getByRole('link', { name: 'Yearly' }).click();
  await page.getByRole('link', { name: /trial of Pro/ }).click();
  await fillSignUp(page, email);
  await expect(page).toHaveURL('/pricing?plan=PRO&interval=year');

  await subscribeButton(page, 'Pro').click();
  await expect(page).toHaveURL(ON_STRIPE);
  await expect(page.getByText('$290.00 per year').first()).toBeVisible();
});
