// Color schemes, billing intervals, columns and motion.

import type { Page } from '@playwright/test';
import { signUp } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

/** Returns the lightness of the page's background, from 0 to 1: `oklch(L C H)`. */
async function brightness(page: Page): Promise<number> {
  const background = await page.locator('html').evaluate((html) => getComputedStyle(html).backgroundColor);
  return Number(/oklch\(([\d.]+)/.exec(background)?.[1]);
}

test('the chosen color scheme is kept, and automatic follows the system', async ({ page, email }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/pricing?interval=year');
  expect(await brightness(page)).toBeGreaterThan(0.9);

  await page.getByRole('button', { name: 'Dark' }).click();
  await expect(page).toHaveURL('/pricing?interval=year');
  await expect(page.getByRole('button', { name: 'Dark' })).toHaveAttribute('aria-pressed', 'true');
  expect(await brightness(page)).toBeLessThan(0.3);
  await signUp(page, email);
  expect(await brightness(page)).toBeLessThan(0.3);

  await page.emulateMedia({ colorScheme: 'dark' });
  await page.getByRole('button', { name: 'Light' }).click();
  expect(await brightness(page)).toBeGreaterThan(0.9);

  await page.getByRole('button', { name: 'Automatic' }).click();
  expect(await brightness(page)).toBeLessThan(0.3);
  await page.emulateMedia({ colorScheme: 'light' });
  expect(await brightness(page)).toBeGreaterThan(0.9);
});

test('prices are shown monthly or yearly', async ({ page }) => {
  await page.goto('/pricing');
  const pro = page.getByRole('article', { name: 'Pro' });
  await expect(pro).toContainText('$29 ');
  await page.getByRole('link', { name: 'Yearly' }).click();
  await expect(pro).toContainText('$290 ');
  await expect(page.getByRole('link', { name: 'Yearly' })).toHaveAttribute('aria-current', 'true');
  await page.getByRole('link', { name: 'Monthly' }).click();
  await expect(pro).toContainText('$29 ');
});

test('prices and buttons of products are aligned in columns', async ({ page, email }) => {
  await signUp(page, email);
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto('/billing');
    const rows = page.getByRole('listitem').filter({ has: page.getByRole('button', { name: /^Buy / }) });
    const places = await rows.evaluateAll((all) =>
      all.map((row) => {
        const [price, button] = ['.money', 'button'].map((part) => row.querySelector(part)!.getBoundingClientRect());
        const isOneLine = price!.top < button!.bottom && button!.top < price!.bottom;
        return { priceEnds: Math.round(price!.right), buttonBegins: Math.round(button!.left), isOneLine };
      }),
    );
    expect(places.length, 'there is more than one product').toBeGreaterThan(1);
    expect(places, `${width} px`).toEqual(places.map(() => ({ ...places[0]!, isOneLine: true })));
  }
});

test('nothing moves with reduced motion', async ({ page }) => {
  for (const path of ['/', '/pricing', '/login']) {
    await page.goto(path);
    const moving = await page.evaluate(() =>
      [...document.querySelectorAll('*')]
        .filter((element) => {
          const { animationName, transitionDuration } = getComputedStyle(element);
          return animationName !== 'none' || transitionDuration.split(',').some((time) => parseFloat(time) > 0);
        })
        .map((element) => element.outerHTML.slice(0, 80)),
    );
    expect(moving, path).toEqual([]);
  }
});
