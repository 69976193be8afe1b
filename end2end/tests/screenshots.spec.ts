// The pictures in docs/screenshots, with the same person and the same numbers every time.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { openCheckout, PASSWORD, signUp, subscribe } from '../support/steps.ts';
import { test } from '../support/test.ts';

const MONTH_OF_USE = fileURLToPath(new URL('../support/month_of_use.py', import.meta.url));
const PHONE = { width: 390, height: 844 };

async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `../docs/screenshots/${name}.png`, animations: 'disabled' });
}

test('the pictures of the documentation', async ({ page, tollgate, visitor }) => {
  await page.goto('/pricing');
  await picture(page, 'pricing-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'pricing-dark');
  await page.emulateMedia({ colorScheme: 'light' });

  await signUp(page, 'ada@example.com');
  await openCheckout(page, 'Pro');
  await picture(page, 'checkout-sandbox');
  await subscribe(page, 'Pro');
  // One call opens the window; the days before it are written while the app is away.
  await page.request.get('/api/v1/usage');
  await tollgate.pause();
  execFileSync('python3', [MONTH_OF_USE, tollgate.database, 'ada@example.com']);
  await tollgate.resume();
  for (const name of ['billing', 'dashboard'] as const) {
    await page.goto(`/${name}`);
    await picture(page, name);
  }
  await page.goto('/dashboard/analytics');
  await picture(page, 'analytics');

  const { page: phone } = await visitor({ viewport: PHONE });
  await phone.goto('/signup');
  await phone.getByLabel('E-mail').fill('grace@example.com');
  await phone.getByLabel('Password').fill(PASSWORD);
  await phone.getByRole('button', { name: 'Create account' }).click();
  await phone.goto('/billing/upgrade?feature=analytics&next=/dashboard/analytics');
  await picture(phone, 'upgrade-phone');
});
