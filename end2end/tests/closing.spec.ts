// The way out for good.

import { heading, logIn, PASSWORD, signUp, subscribe } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('closing needs the password, ends the subscription, and nobody gets in any more', async ({ page, email, stripe, visitor, watch }) => {
  await signUp(page, email);
  await subscribe(page);
  const elsewhere = await visitor();
  await elsewhere.page.goto('/login');
  await logIn(elsewhere.page, email);
  await expect(elsewhere.page).toHaveURL('/dashboard');

  await page.goto('/dashboard');
  await page.getByRole('link', { name: 'Account' }).click();
  await expect(heading(page, 'Account')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Sign-in' })).toContainText(email);
  await expect(page.getByText('Your subscription ends at once')).toBeVisible();

  watch.expect(401, /^\/account\/close$/);
  const password = page.getByLabel('Your password');
  const close = page.getByRole('button', { name: 'Close the account for good' });
  await password.fill('not the password');
  await close.click();
  await expect(password).toHaveAccessibleDescription(/That is not your password. Nothing was closed./);
  await expect(password).toHaveValue('');
  await expect(password).toBeFocused();
  expect((await stripe.subscriptions(email)).map(({ status }) => status)).not.toContain('canceled');

  await password.fill(PASSWORD);
  await close.click();
  await expect(page).toHaveURL('/?notice=closed');
  await expect(page.getByText('Your account is closed.')).toBeVisible();
  expect((await stripe.subscriptions(email)).map(({ status }) => status)).toEqual(['canceled']);

  await page.goto('/dashboard');
  await expect(page).toHaveURL(/\/login\?next=/);
  watch.expect(401, /^\/login$/);
  await logIn(page, email);
  await expect(page.getByRole('alert')).toContainText('No account has this e-mail address and password.');
  await elsewhere.page.goto('/dashboard');
  await expect(elsewhere.page).toHaveURL(/\/login\?next=/);
});

test('an API key opens nothing after its account was closed', async ({ page, email, playwright, tollgate }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/api-keys');
  await page.getByRole('textbox', { name: 'Name' }).fill('Billing worker');
  await page.getByRole('button', { name: 'Create key' }).click();
  const key = await page.getByLabel('New API key').inputValue();
  const program = await playwright.request.newContext({
    baseURL: tollgate.url,
    extraHTTPHeaders: { authorization: `Bearer ${key}` },
  });
  expect((await program.get('/api/v1/usage')).status()).toBe(200);

  await page.goto('/account');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Close the account for good' }).click();
  await expect(page).toHaveURL('/?notice=closed');
  expect((await program.get('/api/v1/usage')).status()).toBe(401);
  await program.dispose();
});

test('an account without a plan is closed as well', async ({ page, email }) => {
  await signUp(page, email);
  await page.goto('/account');
  await expect(page.getByText('Nothing is charged any more.')).toBeVisible();
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Close the account for good' }).click();
  await expect(page.getByText('Your account is closed.')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Log in' })).toBeVisible();
});
