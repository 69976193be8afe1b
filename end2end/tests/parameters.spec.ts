// The sandbox's parameter trees, compared with the types of two versions of Stripe's SDK: every
// parameter of Stripe's is accepted or rejected by name, and there are no others.

import { expect, test } from '@playwright/test';
import { merge, missing, ours, stripes } from '../support/parameters.ts';

/** Endpoints that Stripe's hosted Checkout page calls and no SDK has. */
const OF_THE_PAGE = /payment_pages/;
/** Parameters that are newer than the installed SDK: those of 2026-09-30.endive, the sandbox's version. */
const NEWER =
  /tax_details\]?$|current_trial\]?$|sessions allowed_payment_method_types$|details\[pause\]$|end_behavior\]\[billing_cycle_anchor\]$|resume payment_behavior$/;

test('the sandbox knows exactly the parameters of Stripe @javascript', async () => {
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
  expect(forgotten, 'Stripe has these parameters and the sandbox does not').toEqual([]);
  expect(invented.filter((name) => !NEWER.test(name)), 'the sandbox has these parameters and Stripe does not').toEqual([]);
});
