// Deleting the account.

import { heading, logIn, PASSWORD, signUp, subscribe } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('deleting the account needs the password, ends the subscription and every session', async ({ page, email, stripe, visitor, watch }) => {
  await signUp(page, email);
  await subscribe(page);
  const elsewhere = await visitor();
  await elsewhere.page.goto('/login');
  await logIn(elsewhere.page, email);
  await expect(elsewhere.page).toHaveURL('/dashboard');

  await page.goto('/dashboard');
  await page.getByRole('link', { name: 'Account' }).click();
  await expect(heading(page, 'Account')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Login' })).toContainText(email);
  await expect(page.getByRole('region', { name: 'Delete account' })).toContainText('subscription');

  watch.expect(401, /^\/account\/close$/);
  const password = page.getByLabel('Your password');
  const deleteAccount = page.getByRole('button', { name: 'Delete account' });
  await password.fill('not the password');
  await deleteAccount.click();
  await expect(password).toHaveAccessibleDescription(/Wrong password. Your account wasn't deleted./);
  await expect(password).toHaveValue('');
  await expect(password).toBeFocused();
  expect((await stripe.subscriptions(email)).map(({ status }) => status)).not.toContain('canceled');

  const customer = await stripe.customer(email);
  await password.fill(PASSWORD);
  await deleteAccount.click();
  await expect(page).toHaveURL('/?notice=closed');
  await expect(page.getByRole('status')).toBeVisible();
  expect(await stripe.subscriptions(email), 'the address is erased').toEqual([]);
  expect((await stripe.subscriptionsOf(customer.id)).map(({ status }) => status)).toEqual(['canceled']);

  await page.goto('/dashboard');
  await expect(page).toHaveURL(/\/login\?next=/);
  watch.expect(401, /^\/login$/);
  await logIn(page, email);
  await expect(page.getByRole('alert')).toBeVisible();
  await elsewhere.page.goto('/dashboard');
  await expect(elsewhere.page).toHaveURL(/\/login\?next=/);
});

test('an API key stops working when its account is deleted', async ({ page, email, playwright, tollgate }) => {
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
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page).toHaveURL('/?notice=closed');
  expect((await program.get('/api/v1/usage')).status()).toBe(401);
  await program.dispose();
});

test('an account on the free plan can be deleted', async ({ page, email }) => {
  await signUp(page, email);
  await page.goto('/account');
  await expect(page.getByRole('region', { name: 'Delete account' })).not.toContainText('subscription');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page.getByRole('status')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Log in' })).toBeVisible();
});
