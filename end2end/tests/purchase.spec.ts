// One-time purchases: buying, using and refunding credits.

import { buy, buyButton, credits, heading, ON_STRIPE, seeGone, seeOn, signUp } from '../support/steps.ts';
import { CARDS, pay, sessionOf } from '../support/stripe.ts';
import { expect, test } from '../support/test.ts';

test.beforeEach(async ({ page, email }) => signUp(page, email));

test('a purchase adds credits and is listed with its receipt', async ({ page }) => {
  await page.goto('/billing');
  await expect(page.getByRole('heading', { name: 'Purchases' })).toHaveCount(0);
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  await expect(heading(page, 'Pay for 500 AI generations')).toBeVisible();
  await pay(page);

  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
  await page.getByRole('link', { name: 'Go to billing' }).click();
  await expect(credits(page, '500')).toBeVisible();
  const purchase = page.getByRole('region', { name: 'Purchases, table' }).getByRole('row', { name: /^500 AI generations/ });
  await expect(purchase).toContainText('Paid');
  await expect(purchase).toContainText('$15');

  // The receipt's address arrives in another event, with the charge.
  const receipt = page.getByRole('link', { name: 'Receipt for 500 AI generations' });
  await seeOn(page, '/billing', receipt);
  await receipt.click();
  await expect(heading(page, 'Receipt')).toBeVisible();
  await expect(page.getByText('$15.00')).toBeVisible();
});

test('credits are used after the plan’s limit', async ({ page }) => {
  const generate = () => page.request.post('/api/v1/generate', { data: { prompt: 'A toll gate at dawn' } });
  for (let call = 0; call < 10; call += 1) expect((await generate()).status()).toBe(200);
  expect((await generate()).status()).toBe(402);

  await buy(page);
  expect((await generate()).status()).toBe(200);
  await page.goto('/billing');
  await expect(page.getByRole('region', { name: 'Usage' }).getByText(/^499 credits\b.*\b1\b/)).toBeVisible();
});

test('a declined card buys nothing', async ({ page, email, stripe, watch }) => {
  await page.goto('/billing');
  await buyButton(page).click();
  await expect(page).toHaveURL(ON_STRIPE);
  watch.expect(402, ON_STRIPE);
  await pay(page, CARDS.declined);
  await expect(page.getByLabel('Card number')).toHaveAttribute('aria-invalid', 'true');

  await page.getByRole('link', { name: 'Back' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Purchases' })).toHaveCount(0);
  await expect(credits(page)).toHaveCount(0);
  expect((await stripe.payments(email)).map(({ status }) => status)).not.toContain('succeeded');
});

test('a refund removes the credits', async ({ page, email, stripe }) => {
  await buy(page);
  await page.goto('/billing');
  await expect(credits(page, '500')).toBeVisible();

  await stripe.refund(email);
  await seeOn(page, '/billing', page.getByText('Refunded', { exact: true }));
  await seeGone(page, '/billing', credits(page));
});

test('a partial refund removes a part of the credits', async ({ page, email, stripe }) => {
  await buy(page);
  await stripe.refund(email, 300);
  await seeOn(page, '/billing', page.getByText('Partly refunded'));
  await expect(page.getByText('$3 refunded')).toBeVisible();
  await seeOn(page, '/billing', credits(page, '400'));
});

test('a double click creates one session and one payment', async ({ page, email, stripe }) => {
  await page.goto('/billing');
  await buyButton(page).dblclick();
  await expect(page).toHaveURL(ON_STRIPE);
  expect(await stripe.checkoutSessions(email)).toHaveLength(1);
  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
  expect(await stripe.payments(email)).toHaveLength(1);
});

test('buying in two tabs creates one session and one payment', async ({ page, context, email, stripe, watch }) => {
  const other = await context.newPage();
  for (const tab of [page, other]) await tab.goto('/billing');
  await Promise.all([page, other].map((tab) => buyButton(tab).click()));
  for (const tab of [page, other]) await expect(tab).toHaveURL(ON_STRIPE);
  expect(sessionOf(other)).toBe(sessionOf(page));

  await pay(page);
  await expect(heading(page, '500 AI generations: paid')).toBeVisible();
  watch.expect(409, ON_STRIPE);
  await pay(other);
  await expect(heading(other, 'Already completed')).toBeVisible();
  await other.getByRole('link', { name: 'Continue' }).click();
  await expect(heading(other, '500 AI generations: paid')).toBeVisible();
  expect(await stripe.payments(email)).toHaveLength(1);
});

test('the same pack can be bought again', async ({ page, email, stripe }) => {
  await buy(page);
  await buy(page);
  await page.goto('/billing');
  await expect(credits(page, '1,000')).toBeVisible();
  expect(await stripe.payments(email)).toHaveLength(2);
});
