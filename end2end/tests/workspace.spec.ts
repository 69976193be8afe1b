// The parts of the product that a plan includes.

import { canceledPlan, heading, seeOn, signUp, subscribe, usageBar } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('an API key is shown once and works until it is revoked', async ({ page, email, playwright, tollgate, watch }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/api-keys');
  const keys = page.getByRole('region', { name: 'Your keys' });
  await expect(keys).toBeVisible();
  await expect(keys.getByRole('listitem')).toHaveCount(0);

  watch.expect(422, /^\/dashboard\/api-keys$/);
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByRole('textbox', { name: 'Name' })).toHaveAccessibleDescription(/Enter a name/);

  await page.getByRole('textbox', { name: 'Name' }).fill('Billing worker');
  await page.getByRole('button', { name: 'Create key' }).click();
  const key = await page.getByLabel('New API key').inputValue();
  expect(key).toMatch(/^tg_/);

  await page.goto('/dashboard/api-keys');
  await expect(page.getByLabel('New API key')).toHaveCount(0);
  await expect(page.getByText(key)).toHaveCount(0);
  await expect(keys.getByRole('listitem')).toHaveCount(1);

  const program = await playwright.request.newContext({
    baseURL: tollgate.url,
    extraHTTPHeaders: { authorization: `Bearer ${key}` },
  });
  expect((await program.get('/api/v1/usage')).status()).toBe(200);
  await page.goto('/dashboard/analytics');
  await expect(usageBar(page, 'API calls')).toHaveAttribute('value', '1');

  await page.goto('/dashboard/api-keys');
  await page.locator('summary', { hasText: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke key' }).click();
  await expect(keys.getByRole('listitem')).toHaveCount(0);
  expect((await program.get('/api/v1/usage')).status()).toBe(401);
  await program.dispose();
});

test('a custom domain is validated, saved and shown with its DNS record', async ({ page, email, watch }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/custom-domain');

  watch.expect(422, /^\/dashboard\/custom-domain$/);
  await page.getByRole('textbox', { name: 'Domain' }).fill('https://not a domain/');
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByRole('textbox', { name: 'Domain' })).toHaveAccessibleDescription(/Enter a domain such as/);
  await expect(page.getByRole('textbox', { name: 'Domain' })).toHaveValue('https://not a domain/');

  const domain = `app.${email.split('@')[0]}.example.com`;
  await page.getByRole('textbox', { name: 'Domain' }).fill(domain);
  await page.getByRole('button', { name: 'Save domain' }).click();
  await expect(page.getByText('CNAME')).toBeVisible();
  await page.reload();
  await expect(page.getByRole('textbox', { name: 'Domain' })).toHaveValue(domain);
});

test('an Enterprise customer can contact support', async ({ page, email }) => {
  await signUp(page, email);
  await page.goto('/dashboard/support');
  await expect(heading(page, 'Get Support with Enterprise')).toBeVisible();

  await subscribe(page, 'Enterprise');
  await page.goto('/dashboard/support');
  await page.getByRole('textbox', { name: 'Subject' }).fill('The invoice <shows> two lines');
  await page.getByRole('textbox', { name: 'Message' }).fill('First line.\n\nSecond line.');
  await page.getByRole('button', { name: 'Send message' }).click();
  await expect(page.getByRole('status')).toContainText(email);
  await expect(page.getByRole('heading', { level: 3, name: 'The invoice <shows> two lines' })).toBeVisible();
});

test('a Pro customer is offered Enterprise for support', async ({ page, email }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/support');
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
  await expect(heading(page, 'Get Support with Enterprise')).toBeVisible();
});

test('a subscription that is canceled in Stripe lasts until it ends', async ({ page, email, stripe }) => {
  await signUp(page, email);
  await subscribe(page);
  const [subscription] = await stripe.subscriptions(email);

  await stripe.cancelAtPeriodEnd(subscription!.id);
  await seeOn(page, '/billing', canceledPlan(page));
  await page.goto('/dashboard/analytics');
  await expect(heading(page, 'Analytics')).toBeVisible();

  await stripe.cancelNow(subscription!.id);
  await seeOn(page, '/billing', page.getByRole('rowheader', { name: 'Pro' }));
  await page.goto('/dashboard/analytics');
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
});
