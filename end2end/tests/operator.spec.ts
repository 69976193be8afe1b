// The operators' pages.

import { buy, canceledPlan, failedPayment, heading, seeOn, signUp, signUpOperator, subscribe } from '../support/steps.ts';
import { CARDS, control } from '../support/stripe.ts';
import { alone as test, expect } from '../support/test.ts';

/** The e-mail address of the customer in these tests. */
const customer = (email: string) => `customer-${email}`;

test('the operators’ pages return 404 for everyone else', async ({ page, email, own, watch }) => {
  await page.goto('/admin');
  await expect(page).toHaveURL(/\/login\?next=/);

  await signUp(page, email);
  await expect(page.getByRole('link', { name: 'Operations' })).toHaveCount(0);
  watch.expect(404, /^\/admin/);
  for (const path of ['/admin', '/admin/events', '/admin/event?id=evt_1', '/admin/accounts', '/admin/account?id=1', '/admin/drift']) {
    await page.goto(path);
    await expect(heading(page, 'Page not found'), path).toBeVisible();
  }
  for (const path of ['/admin/replay', '/admin/compare']) {
    const form = path === '/admin/replay' ? { id: 'evt_1' } : {};
    expect((await page.request.post(path, { form })).status(), path).toBe(404);
  }

  // Also for a former operator.
  await own.run('operator', 'add', email, '--yes');
  await expect.poll(async () => (await page.request.get('/admin')).status()).toBe(200);
  await own.run('operator', 'remove', email);
  await expect.poll(async () => (await page.request.get('/admin')).status()).toBe(404);
});

test('an operator filters events, opens one and replays it', async ({ page, email, own, stripe, visitor }) => {
  const other = await visitor();
  await signUp(other.page, customer(email));
  await subscribe(other.page);
  const [subscription] = await stripe.subscriptions(customer(email));

  await signUpOperator(page, own, email);
  await page.goto('/dashboard');
  await page.getByRole('link', { name: 'Operations' }).click();
  await expect(heading(page, 'Operations')).toBeVisible();
  const sections = page.getByRole('navigation', { name: 'Operations' });
  await expect(sections.locator('[aria-current]')).toHaveText(['Overview']);
  await sections.getByRole('link', { name: 'Events' }).click();
  await expect(heading(page, 'Events')).toBeVisible();
  await expect(sections.locator('[aria-current]')).toHaveText(['Events']);

  const created = page.getByRole('link', { name: 'customer.subscription.created' });
  await expect(async () => {
    await page.getByLabel('State').selectOption('done');
    await page.getByLabel('Type, id, object or customer').fill(subscription!.id);
    await page.getByRole('button', { name: 'Filter' }).click();
    await expect(created).toBeVisible({ timeout: 500 });
  }).toPass();
  await expect(page.getByLabel('State')).toHaveValue('done');
  await expect(page.getByLabel('Type, id, object or customer')).toHaveValue(subscription!.id);
  const rows = page.getByRole('region', { name: 'Events, table' }).locator('tbody').getByRole('row');
  for (const row of await rows.all()) {
    await expect(row).toContainText('done');
    await expect(row).toContainText(subscription!.id);
  }

  await created.click();
  await expect(heading(page, 'customer.subscription.created')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Payload' })).toContainText(`"id": "${subscription!.id}"`);
  await page.getByRole('button', { name: 'Replay' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await expect(async () => {
    await page.reload();
    await expect(page.getByText('done', { exact: true })).toBeVisible({ timeout: 500 });
  }).toPass();

  await page.goto('/admin/events?about=nothing');
  await expect(page.getByText('No events')).toBeVisible();
});

test('an operator replays an event that was parked because Stripe kept rejecting requests', async ({ page, email, own, stripe, visitor }) => {
  const other = await visitor();
  await signUp(other.page, customer(email));
  await subscribe(other.page);
  const [subscription] = await stripe.subscriptions(customer(email));
  await signUpOperator(page, own, email);

  await control(own.stripe, 'faults', { fail_next: 1_000_000, status: 400 });
  await control(own.stripe, `subscriptions/${subscription!.id}/cancel`, { at_period_end: true });
  const parked = page.getByRole('row').filter({ hasText: 'parked' }).getByRole('link', { name: 'customer.subscription.updated' });
  let isResumed = true;
  await expect(async () => {
    // It is retried fifteen times with growing delays. Each new event wakes the worker.
    await control(own.stripe, 'clock/advance', { minutes: 90 });
    await control(own.stripe, `subscriptions/${subscription!.id}/${isResumed ? 'keep' : 'cancel'}`, isResumed ? {} : { at_period_end: true });
    isResumed = !isResumed;
    await page.goto('/admin/events?state=parked');
    await expect(parked.first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 45_000, intervals: [100] });

  await parked.first().click();
  await expect(page.getByText('parked', { exact: true })).toBeVisible();
  await expect(page.getByRole('definition').filter({ hasText: '400' })).toBeVisible();
  await control(own.stripe, 'faults/clear', {});
  await page.getByRole('button', { name: 'Replay' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await expect(async () => {
    await page.reload();
    await expect(page.getByText('done', { exact: true })).toBeVisible({ timeout: 500 });
  }).toPass();
});

test('an operator finds an account and the reason for its plan', async ({ page, email, own, stripe, visitor }) => {
  const other = await visitor();
  await signUp(other.page, customer(email));
  await subscribe(other.page);
  await buy(other.page);
  const [subscription] = await stripe.subscriptions(customer(email));

  await signUpOperator(page, own, email);
  await page.goto('/admin/accounts');
  await expect(page.getByRole('row', { name: customer(email) })).toContainText('Pro');
  await page.getByRole('searchbox', { name: 'E-mail, account or customer' }).fill('customer-');
  await page.getByRole('button', { name: 'Search' }).click();
  const accounts = page.getByRole('region', { name: 'Accounts, table' }).locator('tbody').getByRole('row');
  await expect(accounts).toHaveCount(1);
  await expect(accounts).toContainText('trialing');

  await page.getByRole('link', { name: customer(email) }).click();
  await expect(heading(page, customer(email))).toBeVisible();
  const plan = page.getByRole('region', { name: 'Pro', exact: true });
  await expect(plan).toContainText(subscription!.id);
  await expect(plan).toContainText('trialing');
  await expect(plan).toContainText('Until');
  await expect(page.getByRole('region', { name: 'Subscriptions, table' })).toContainText('tollgate_pro_month');
  await expect(page.getByRole('region', { name: 'Invoices and purchases, table' })).toContainText('500 AI generations');
  await page.getByRole('link', { name: (await stripe.customer(customer(email))).id }).click();
  await expect(page.getByRole('link', { name: 'customer.subscription.created' })).toBeVisible();
});

test('an operator sees why a customer keeps the plan after a failed payment', async ({ page, email, own, stripe, visitor }) => {
  const other = await visitor();
  await signUp(other.page, customer(email));
  await subscribe(other.page, 'Pro', CARDS.failsWhenCharged);
  await stripe.endTrial(customer(email));
  await seeOn(other.page, '/billing', failedPayment(other.page));

  await signUpOperator(page, own, email);
  await page.goto('/admin/accounts');
  await expect(page.getByRole('row', { name: customer(email) })).toContainText('past_due');
  await page.getByRole('link', { name: customer(email) }).click();
  await expect(page.getByRole('region', { name: 'Pro', exact: true })).toContainText('past_due');
});

test('reconciliation finds and repairs what a lost webhook would have changed', async ({ page, email, own, stripe, visitor }) => {
  const other = await visitor();
  await signUp(other.page, customer(email));
  await subscribe(other.page);
  const [subscription] = await stripe.subscriptions(customer(email));
  await signUpOperator(page, own, email);
  await page.goto('/admin');
  const sync = page.getByRole('region', { name: 'Stripe sync' });
  await expect(sync).toBeVisible();
  await expect(sync.getByRole('time')).toHaveCount(0);

  // Everything before has been delivered, so that only this change is dropped.
  await expect.poll(async () => (await control(own.stripe, 'deliveries?state=pending')).data.length).toBe(0);
  await control(own.stripe, 'deliveries/hold', {});
  await control(own.stripe, `subscriptions/${subscription!.id}/cancel`, { at_period_end: true });
  await control(own.stripe, 'deliveries/drop', {});
  await control(own.stripe, 'deliveries/release', {});
  await other.page.goto('/billing');
  await expect(canceledPlan(other.page)).toHaveCount(0);

  expect(await own.run('reconcile')).toContain(subscription!.id);
  await page.goto('/admin');
  await expect(sync.getByRole('time')).toHaveCount(1);
  await expect(sync.getByRole('definition')).toHaveCount(0);
  await page.getByRole('link', { name: 'All differences' }).click();
  await expect(heading(page, 'Drift')).toBeVisible();
  await page.getByLabel('State').selectOption('fixed');
  await page.getByLabel('Kind').selectOption('wrong subscription');
  await page.getByLabel('Object in Stripe').fill(subscription!.id);
  await page.getByRole('button', { name: 'Filter' }).click();
  // The server's own check may have found it at the same time.
  const row = page.getByRole('region', { name: 'Differences, table' }).locator('tbody').getByRole('row').first();
  await expect(row).toContainText(subscription!.id);
  await expect(row).toContainText('fixed');
  await expect(page.getByLabel('Kind')).toHaveValue('wrong_subscription');
  await row.getByRole('link', { name: 'wrong subscription' }).click();
  await expect(heading(page, 'Events')).toBeVisible();
  await seeOn(other.page, '/billing', canceledPlan(other.page));

  await page.goto('/admin/drift?state=open');
  await expect(page.getByText('No differences')).toBeVisible();
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'completed' })).toBeVisible();
});
