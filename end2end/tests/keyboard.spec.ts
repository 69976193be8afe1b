// The main job with the keyboard only, with a visible focus at every step.

import type { Locator, Page } from '@playwright/test';
import { heading, ON_STRIPE, PASSWORD, subscribeButton } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

/** Presses Tab until `wanted` has the focus. Every stop must be visible. */
async function tabTo(page: Page, wanted: Locator): Promise<void> {
  const passed: string[] = [];
  for (let stops = 0; stops < 40; stops += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const focused = document.activeElement!;
      const isDrawn = (element: Element) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
      };
      // A tile draws the outline of the link that covers it.
      let outlined: Element | null = focused;
      while (outlined && !isDrawn(outlined)) outlined = outlined.parentElement;
      const box = focused.getBoundingClientRect();
      return {
        name: `${focused.tagName} ${focused.textContent?.trim() ?? ''}`,
        isVisible: focused === document.body || (outlined !== null && box.bottom > 0 && box.top < innerHeight),
      };
    });
    passed.push(stop.name);
    expect(stop.isVisible, `the focus is visible on ${stop.name}`).toBe(true);
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`Tab does not reach ${wanted}; it passed\n${passed.join('\n')}`);
}

test('a visitor can sign up, subscribe and open analytics with the keyboard', async ({ page, email }) => {
  await page.goto('/');
  await tabTo(page, page.getByRole('main').getByRole('link', { name: 'Create a free account' }));
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/signup');
  await tabTo(page, page.getByLabel('E-mail'));
  await page.keyboard.type(email);
  await tabTo(page, page.getByLabel('Password'));
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/dashboard');

  await tabTo(page, page.getByRole('link', { name: 'Analytics' }));
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/billing\/upgrade\?/);
  await tabTo(page, subscribeButton(page, 'Pro'));
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(ON_STRIPE);

  for (const [label, text] of [
    ['Card number', '4242424242424242'],
    ['Expiry', '1240'],
    ['CVC', '123'],
    ['Name on card', 'Ada Lovelace'],
  ] as const) {
    await tabTo(page, page.getByLabel(label));
    await page.keyboard.type(text);
  }
  await tabTo(page, page.getByRole('button', { name: 'Start trial' }));
  await page.keyboard.press('Enter');
  await expect(heading(page, 'Welcome to Pro')).toBeVisible();

  await tabTo(page, page.getByRole('link', { name: 'Go to dashboard' }));
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/dashboard');
  await tabTo(page, page.getByRole('link', { name: 'Analytics' }));
  await page.keyboard.press('Enter');
  await expect(heading(page, 'Analytics')).toBeVisible();
});

test('the first Tab stop skips to the content', async ({ page }) => {
  await page.goto('/pricing');
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to content' });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport({ ratio: 1 });
  await page.keyboard.press('Enter');
  await expect(page.getByRole('main')).toBeFocused();
});
