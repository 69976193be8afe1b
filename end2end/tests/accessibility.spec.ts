// Every page, in every state, in both schemes, on a desk and on the smallest phone.

import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { TOURS, TOURS_ALONE } from '../support/tour.ts';
import { alone, expect, test } from '../support/test.ts';

/** A finger's width, in CSS pixels. */
const FINGER = 44;

async function expectAccessible(page: Page, stop: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
  const found = violations.map(({ id, nodes }) => ({
    rule: id,
    at: nodes.map((node) => `${node.target}: ${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message}`),
  }));
  expect.soft(found, `axe on ${stop}`).toEqual([]);
}

async function expectToFit(page: Page, stop: string): Promise<void> {
  // Not `innerWidth`: a phone zooms out until what sticks out is seen as well.
  const needed = await page.evaluate(() => document.documentElement.scrollWidth);
  expect.soft(needed, `${stop} scrolls sideways`).toBeLessThanOrEqual(page.viewportSize()!.width);
}

async function expectRoomForFingers(page: Page, stop: string): Promise<void> {
  const small = await page.evaluate((finger) => {
    const isText = (element: Element) => element.tagName === 'A' && getComputedStyle(element).display === 'inline';
    return [...document.querySelectorAll('a, button, summary, input, select, textarea')]
      .filter((element) => element.checkVisibility() && !isText(element) && !element.matches('.skip-link, [type=hidden]'))
      // What chooses is as large as the label around it.
      .map((element) => (element.matches('[type=radio]') && element.closest('label')) || element)
      .map((element) => ({ name: element.outerHTML.slice(0, 90), box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width < finger || box.height < finger)
      .map(({ name, box }) => `${box.width}×${box.height} ${name}`);
  }, FINGER);
  expect.soft(small, `${stop} has targets that are too small`).toEqual([]);
}

const DEVICES = {
  'a desk': { viewport: { width: 1280, height: 800 } },
  'a small phone': { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true },
} as const;

/** What is asked of every stop. */
function looking(page: Page, device: string): (stop: string) => Promise<void> {
  return async (stop) => {
    await expectAccessible(page, stop);
    await expectToFit(page, stop);
    if (device === 'a small phone') await expectRoomForFingers(page, stop);
  };
}

for (const [device, options] of Object.entries(DEVICES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test.describe(`on ${device}, ${colorScheme}`, () => {
      test.use({ ...options, colorScheme });

      for (const [name, tour] of Object.entries(TOURS)) {
        test(`${name} can be read and used by everybody @javascript`, async ({ page, watch, stripe, email }) => {
          test.slow();
          await tour({ page, watch, stripe, email, look: looking(page, device) });
        });
      }
    });

    alone.describe(`on ${device}, ${colorScheme}`, () => {
      alone.use({ ...options, colorScheme });

      for (const [name, tour] of Object.entries(TOURS_ALONE)) {
        alone(`${name} can be read and used by everybody @javascript`, async ({ page, watch, own, stripe, email }) => {
          alone.slow();
          await tour({ page, watch, own, stripe, email, look: looking(page, device) });
        });
      }
    });
  }
}
