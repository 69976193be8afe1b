// The screenshots in docs/screenshots, with the same user and numbers every time.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { openCheckout, PASSWORD, signUp, subscribe } from '../support/steps.ts';
import { test } from '../support/test.ts';

const MONTH_OF_USAGE = fileURLToPath(new URL('../support/month_of_usage.py', import.meta.url));
const PHONE = { width: 390, height: 844 };

async function screenshot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `../docs/screenshots/${name}.png`, animations: 'disabled' });
}

test('the screenshots of the documentation', async ({ page, tollgate, visitor }) => {
  await page.goto('/pricing');
  await screenshot(page, 'pricing-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await screenshot(page, 'pricing-dark');
  await page.emulateMedia({ colorScheme: 'light' });

  await signUp(page, 'ada@example.com');
  await openCheckout(page, 'Pro');
  await screenshot(page, 'checkout-sandbox');
  await subscribe(page, 'Pro');
  // One call creates the counter. The days before are inserted while the server is stopped.
  await page.request.get('/api/v1/usage');
  await tollgate.pause();
  execFileSync('python3', [MONTH_OF_USAGE, tollgate.database, 'ada@example.com']);
  await tollgate.resume();
  for (const name of ['billing', 'dashboard'] as const) {
    await page.goto(`/${name}`);
    await screenshot(page, name);
  }
  await page.goto('/dashboard/analytics');
  await screenshot(page, 'analytics');

  const { page: phone } = await visitor({ viewport: PHONE });
  await phone.goto('/signup');
  await phone.getByLabel('E-mail').fill('grace@example.com');
  await phone.getByLabel('Password').fill(PASSWORD);
  await phone.getByRole('button', { name: 'Create account' }).click();
  await phone.goto('/billing/upgrade?feature=analytics&next=/dashboard/analytics');
  await screenshot(phone, 'upgrade-phone');
});
