// Accessibility of every page in every state: on the smallest phone in dark, and on a desktop in light.

import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { TOURS, TOURS_ALONE } from '../support/tour.ts';
import { alone, expect, test } from '../support/test.ts';

/** The smallest target for a finger, in CSS pixels. */
const TARGET = 44;

async function expectAccessible(page: Page, stop: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
  const found = violations.map(({ id, nodes }) => ({
    rule: id,
    at: nodes.map((node) => `${node.target}: ${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message}`),
  }));
  expect.soft(found, `axe on ${stop}`).toEqual([]);
}

async function expectToFit(page: Page, stop: string): Promise<void> {
  // Not `innerWidth`: a phone zooms out until the overflow is visible.
  const needed = await page.evaluate(() => document.documentElement.scrollWidth);
  expect.soft(needed, `${stop} scrolls sideways`).toBeLessThanOrEqual(page.viewportSize()!.width);
}

async function expectLargeTargets(page: Page, stop: string): Promise<void> {
  const small = await page.evaluate((target) => {
    const isText = (element: Element) => element.tagName === 'A' && getComputedStyle(element).display === 'inline';
    return [...document.querySelectorAll('a, button, summary, input, select, textarea')]
      .filter((element) => element.checkVisibility() && !isText(element) && !element.matches('.skip-link, [type=hidden]'))
      // The label around a radio button is part of its target.
      .map((element) => (element.matches('[type=radio]') && element.closest('label')) || element)
      .map((element) => ({ name: element.outerHTML.slice(0, 90), box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width < target || box.height < target)
      .map(({ name, box }) => `${box.width}×${box.height} ${name}`);
  }, TARGET);
  expect.soft(small, `${stop} has targets that are too small`).toEqual([]);
}

const PHONE = { width: 320, height: 640 };
const DESKTOP = { width: 1280, height: 800 };

/**
 * Checks a stop of a tour. The page keeps its state, so that one tour is enough for both widths and both schemes. Colors
 * do not depend on the width, so two of the four combinations are enough.
 */
function check(page: Page): (stop: string) => Promise<void> {
  return async (stop) => {
    await expectAccessible(page, `${stop}, on a phone in dark`);
    await expectToFit(page, `${stop}, on a phone`);
    await expectLargeTargets(page, `${stop}, on a phone`);

    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(DESKTOP);
    await expectAccessible(page, `${stop}, on a desktop in light`);
    await expectToFit(page, `${stop}, on a desktop`);
    await page.setViewportSize(PHONE);
    await page.emulateMedia({ colorScheme: 'dark' });
  };
}

test.use({ viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'dark' });
alone.use({ viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'dark' });

for (const [name, tour] of Object.entries(TOURS)) {
  test(`${name} are accessible @javascript`, async ({ page, watch, stripe, email }) => {
    test.slow();
    await tour({ page, watch, stripe, email, check: check(page) });
  });
}

for (const [name, tour] of Object.entries(TOURS_ALONE)) {
  alone(`${name} are accessible @javascript`, async ({ page, watch, own, stripe, email }) => {
    alone.slow();
    await tour({ page, watch, own, stripe, email, check: check(page) });
  });
}
