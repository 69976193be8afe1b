// Stripe's customer portal, and how our pages show what was changed there.

import { canceledPlan, failedPayment, IN_PORTAL, leavePortal, openPortal, seeGone, seeOn, signUp, subscribe } from '../support/steps.ts';
import { CARDS, fillCard } from '../support/stripe.ts';
import { alone as test, expect } from '../support/test.ts';

test.beforeEach(async ({ page, email }) => signUp(page, email));

test('after a failed payment the customer updates the card and pays', async ({ page, email, stripe }) => {
  await subscribe(page, 'Pro', CARDS.failsWhenCharged);
  await stripe.endTrial(email);
  const banner = failedPayment(page);
  await seeOn(page, '/billing', banner);
  await page.goto('/dashboard');
  await expect(banner).toBeVisible();

  await openPortal(page, 'Update card');
  await fillCard(page, CARDS.pays);
  await page.getByRole('button', { name: 'Save card' }).click();
  await expect(page.getByRole('region', { name: 'Payment method' }).getByText(/4242, /)).toBeVisible();
  await page.getByRole('button', { name: 'Pay $29.00 now' }).click();
  await expect(page).toHaveURL(IN_PORTAL);
  await expect(page.getByRole('button', { name: /^Pay / })).toHaveCount(0);

  await leavePortal(page);
  await seeGone(page, '/billing', banner);
  const plan = page.getByRole('region', { name: 'Your plan' });
  await expect(plan).toContainText('Active');
  await expect(plan).toContainText('Renews');
  await seeGone(page, '/billing', page.getByRole('region', { name: 'Invoices, table' }).getByText('Due', { exact: true }));
});

test('a failed payment can be made on the invoice’s page', async ({ page, email, stripe }) => {
  await subscribe(page, 'Pro', CARDS.failsWhenCharged);
  await stripe.endTrial(email);
  const banner = failedPayment(page);
  await seeOn(page, '/billing', banner);

  await page.getByRole('link', { name: 'Pay $29', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Pay this invoice' })).toBeVisible();
  await fillCard(page, CARDS.pays);
  await page.getByRole('button', { name: 'Pay $29.00' }).click();
  await expect(page.getByRole('heading', { name: 'Pay this invoice' })).toHaveCount(0);
  await seeGone(page, '/billing', banner);
});

test('a plan that was canceled in the portal can be resumed', async ({ page }) => {
  await subscribe(page);
  await openPortal(page);
  await page.getByRole('link', { name: 'Cancel plan' }).click();
  await page.getByLabel('Why are you canceling?').selectOption('unused');
  await page.getByRole('button', { name: 'Cancel plan' }).click();
  await expect(page).toHaveURL(IN_PORTAL);
  await expect(page.getByRole('button', { name: "Don't cancel" })).toBeVisible();

  await leavePortal(page);
  const banner = canceledPlan(page);
  const plan = page.getByRole('region', { name: 'Your plan' });
  await seeOn(page, '/billing', banner);
  await expect(plan).toContainText('Ends');

  await openPortal(page, 'Resume plan');
  await page.getByRole('button', { name: "Don't cancel" }).click();
  await expect(page.getByRole('link', { name: 'Cancel plan' })).toBeVisible();
  await leavePortal(page);
  await seeGone(page, '/billing', banner);
  await expect(plan).toContainText('First payment');
});

test('a canceled plan ends with its period', async ({ page, email, stripe }) => {
  await subscribe(page);
  const [subscription] = await stripe.subscriptions(email);
  await stripe.cancelAtPeriodEnd(subscription!.id);
  await seeOn(page, '/billing', canceledPlan(page));

  await stripe.advance({ days: 14, minutes: 1 });
  await seeOn(page, '/billing', page.getByRole('rowheader', { name: 'Pro' }));
  await expect(page.getByRole('region', { name: 'Your plan' })).toContainText('Free');
});
