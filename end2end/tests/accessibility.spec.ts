// Every page, in every state, on the smallest phone: in light, in dark, and once more as wide as on a desk.

import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { TOURS, TOURS_ALONE } from '../support/tour.ts';
import { alone, expect, test } from '../support/test.ts';

/** A finger's width, in CSS pixels. */
const FINGER = 44;

/** The rules whose outcome depends on the colour scheme. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

async function expectAccessible(page: Page, stop: string, rules?: string[]): Promise<void> {
  const axe = new AxeBuilder({ page }).setLegacyMode(true);
  const { violations } = await (rules ? axe.withRules(rules) : axe).analyze();
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

const PHONE = { width: 320, height: 640 };
const DESKTOP = { width: 1280, height: 800 };

/** What is asked of every stop. The state of the page stays, so that one tour serves all widths and schemes. */
function look(page: Page): (stop: string) => Promise<void> {
  return async (stop) => {
    await expectAccessible(page, `${stop}, on a phone`);
    await expectToFit(page, `${stop}, on a phone`);
    await expectRoomForFingers(page, `${stop}, on a phone`);

    await page.emulateMedia({ colorScheme: 'dark' });
    await expectAccessible(page, `${stop}, in dark`, COLOUR_RULES);
    await page.emulateMedia({ colorScheme: 'light' });

    await page.setViewportSize(DESKTOP);
    await expectAccessible(page, `${stop}, on a desktop`);
    await expectToFit(page, `${stop}, on a desktop`);
    await page.setViewportSize(PHONE);
  };
}

test.use({ viewport: PHONE, hasTouch: true, isMobile: true });
alone.use({ viewport: PHONE, hasTouch: true, isMobile: true });

for (const [name, tour] of Object.entries(TOURS)) {
  test(`${name} can be read and used by everybody @javascript`, async ({ page, watch, stripe, email }) => {
    test.slow();
    await tour({ page, watch, stripe, email, look: look(page) });
  });
}

for (const [name, tour] of Object.entries(TOURS_ALONE)) {
  alone(`${name} can be read and used by everybody @javascript`, async ({ page, watch, own, stripe, email }) => {
    alone.slow();
    await tour({ page, watch, own, stripe, email, look: look(page) });
  });
}
