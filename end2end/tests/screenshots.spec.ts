// The pictures in docs/screenshots, with the same person and the same numbers every time.

import type { Page } from '@playwright/test';
import { openCheckout, PASSWORD, signUp, subscribe } from '../support/steps.ts';
import { test } from '../support/test.ts';

const PHONE = { width: 390, height: 844 };

async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `../docs/screenshots/${name}.png`, animations: 'disabled' });
}

test('the pictures of the documentation', async ({ page, visitor }) => {
  await page.goto('/pricing');
  await picture(page, 'pricing-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'pricing-dark');
  await page.emulateMedia({ colorScheme: 'light' });

  await signUp(page, 'ada@example.com');
  await openCheckout(page, 'Pro');
  await picture(page, 'checkout-sandbox');
  await subscribe(page, 'Pro');
  for (let call = 0; call < 214; call += 1) await page.request.get('/api/v1/usage');
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
