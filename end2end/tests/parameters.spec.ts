// The sandbox's parameter trees against the types of Stripe's own SDK, of two API versions: what
// Stripe accepts is accepted or refused by name, and what no Stripe has is unknown here too.

import { expect, test } from '@playwright/test';
import { merge, missing, ours, stripes } from '../support/parameters.ts';

/** What the hosted Checkout page calls itself, and no SDK has. */
const OF_THE_PAGE = /payment_pages/;
/** What is newer than the SDK here: of the version that the sandbox speaks, 2026-09-30.endive. */
const NEWER =
  /tax_details\]?$|current_trial\]?$|sessions allowed_payment_method_types$|details\[pause\]$|end_behavior\]\[billing_cycle_anchor\]$|resume payment_behavior$/;

test('every parameter is one of Stripe’s, and none of Stripe’s is forgotten @javascript', async () => {
  const known = await stripes('stripe');
  for (const [endpoint, tree] of await stripes('stripe-basil')) {
    known.set(endpoint, merge(known.get(endpoint) ?? {}, tree));
  }
  const invented: string[] = [];
  const forgotten: string[] = [];
  for (const [endpoint, tree] of ours()) {
    if (OF_THE_PAGE.test(endpoint)) continue;
    const real = known.get(endpoint);
    if (!real) {
      invented.push(endpoint);
      continue;
    }
    invented.push(...missing(real, tree).map((name) => `${endpoint} ${name}`));
    forgotten.push(...missing(tree, real).map((name) => `${endpoint} ${name}`));
  }
  expect(forgotten, 'Stripe has these, and the sandbox calls them unknown').toEqual([]);
  expect(invented.filter((name) => !NEWER.test(name)), 'the sandbox has these, and no Stripe does').toEqual([]);
});
