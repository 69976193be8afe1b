// Signing up, logging in and logging out.

import { heading, logIn, PASSWORD, signUp } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

test('a visitor who logs in arrives at the page they requested', async ({ page, email, visitor }) => {
  await signUp((await visitor()).page, email);

  await page.goto('/billing?notice=already_subscribed');
  await expect(page).toHaveURL(/\/login\?next=/);
  await logIn(page, email);
  await expect(page).toHaveURL('/billing?notice=already_subscribed');
});

test('after a wrong password the login form keeps the address', async ({ page, email, watch }) => {
  watch.expect(401, /^\/login$/);
  await page.goto('/login');
  await logIn(page, email, 'not the password');
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByLabel('E-mail')).toHaveValue(email);
  await expect(page.getByLabel('Password')).toHaveValue('');
});

test('an invalid field has its error and the focus, and the form keeps its values', async ({ page, email, watch }) => {
  watch.expect(422, /^\/signup$/);
  await page.goto('/signup');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();

  const password = page.getByLabel('Password');
  await expect(password).toHaveAttribute('aria-invalid', 'true');
  await expect(password).toHaveAccessibleDescription(/Use at least 8 characters/);
  await expect(password).toBeFocused();
  await expect(page.getByLabel('E-mail')).toHaveValue(email);

  await password.fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page).toHaveURL('/dashboard');
});

test('a registered address gets a link to the login', async ({ page, email, visitor, watch }) => {
  await signUp((await visitor()).page, email);

  watch.expect(422, /^\/signup$/);
  await page.goto('/signup');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('E-mail')).toHaveAccessibleDescription(/already registered/);
});

test('logging out ends the session', async ({ page, email }) => {
  await signUp(page, email);
  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page).toHaveURL('/');
  await page.goto('/dashboard');
  await expect(page).toHaveURL(/\/login\?next=/);
  await expect(heading(page, 'Log in')).toBeVisible();
});
