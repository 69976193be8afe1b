// The official Stripe CLI against the sandbox, with the app behind it: each trigger runs its own
// fixtures, and the app's inbox stores every event they cause.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '../support/test.ts';
import { control } from '../support/stripe.ts';
import { openCheckout, signUp } from '../support/steps.ts';
import type { Tollgate } from '../support/tollgate.ts';

test.use({ sharedBy: 'the Stripe CLI' });

const cli = fileURLToPath(new URL('../node_modules/.bin/stripe', import.meta.url));

/** Every trigger, with the event it causes if that has another name. */
const TRIGGERS: [trigger: string, event?: string][] = [
  ['checkout.session.completed'],
  ['checkout.session.expired'],
  ['checkout.session.async_payment_succeeded'],
  ['checkout.session.async_payment_failed'],
  ['customer.created'],
  ['customer.updated'],
  ['customer.deleted'],
  ['customer.subscription.created'],
  ['customer.subscription.updated'],
  ['customer.subscription.deleted'],
  ['customer.subscription.paused'],
  ['customer.subscription.trial_will_end'],
  ['subscription.payment_succeeded', 'invoice.payment_succeeded'],
  ['subscription.payment_failed', 'invoice.payment_failed'],
  ['invoice.created'],
  ['invoice.finalized'],
  ['invoice.sent'],
  ['invoice.updated'],
  ['invoice.paid'],
  ['invoice.payment_succeeded'],
  ['invoice.payment_failed'],
  ['invoice.payment_action_required'],
  ['invoice.marked_uncollectible'],
  ['invoice.voided'],
  ['charge.succeeded'],
  ['charge.failed'],
  ['charge.refunded'],
  ['charge.refund.updated'],
  ['charge.dispute.created'],
  ['charge.dispute.updated'],
  ['charge.dispute.closed'],
  ['payment_intent.succeeded'],
  ['payment_intent.payment_failed'],
  ['payment_intent.processing'],
  ['payment_intent.canceled'],
  ['setup_intent.succeeded'],
  ['subscription_schedule.created'],
  ['subscription_schedule.released'],
  ['subscription_schedule.canceled'],
];

/** Runs the CLI with an empty home directory, so that it has no account. */
async function trigger(tollgate: Tollgate, event: string, ...more: string[]): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'stripe-cli-'));
  const args = ['trigger', event, '--api-base', tollgate.stripe, '--api-key', 'sk_test_sandbox', ...more];
  try {
    const env = { PATH: process.env.PATH, HOME: home, STRIPE_CLI_TELEMETRY_OPTOUT: '1' };
    const { stdout } = await promisify(execFile)(cli, args, { env, timeout: 30_000 });
    expect(stdout).toContain('Trigger succeeded');
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** Waits until nothing is left to deliver. */
async function delivered(tollgate: Tollgate): Promise<void> {
  await expect.poll(async () => (await control(tollgate.stripe, 'state')).deliveries.pending).toBe(0);
}

test('every trigger succeeds and its events are stored @javascript', async ({ tollgate }) => {
  test.setTimeout(180_000);
  const waiting = TRIGGERS.map(([name]) => name);
  const work = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) await trigger(tollgate, name);
  };
  await Promise.all([work(), work(), work(), work()]);
  await control(tollgate.stripe, 'clock/advance', { days: 5 });
  await delivered(tollgate);

  const sent = new Map<string, string>();
  for (let after = ''; ; ) {
    const page = await control(tollgate.stripe, `events?limit=100&starting_after=${after}`);
    for (const { id, type } of page.data) sent.set(id, type);
    if (!page.has_more) break;
    after = page.data.at(-1).id;
  }
  const types = new Set(sent.values());
  for (const [name, event] of TRIGGERS) expect(types, name).toContain(event ?? name);

  const inbox = await tollgate.run('events', 'list', '--limit', '10000');
  const stored = new Set(inbox.match(/\bevt_\w+/g));
  const lost = [...sent].filter(([id]) => !stored.has(id)).map(([, type]) => type);
  // Prices and products are created before the endpoint exists.
  expect(lost.filter((type) => !/^(price|product)\./.test(type))).toEqual([]);
  expect(inbox).not.toContain('parked');
});

test('a trigger for an existing customer changes their subscription @javascript', async ({ page, tollgate, stripe, email }) => {
  await signUp(page, email);
  await openCheckout(page);
  const customer = await stripe.customer(email);
  await trigger(
    tollgate,
    'customer.subscription.updated',
    ...['--override', `subscription:customer=${customer.id}`],
    ...['--add', 'subscription:collection_method=send_invoice'],
    ...['--add', 'subscription:days_until_due=7'],
  );
  await delivered(tollgate);
  const [subscription] = await stripe.subscriptions(email);
  await expect
    .poll(() => tollgate.run('events', 'list', '--state', 'done', '--limit', '1000'))
    .toContain(subscription!.id);
  await expect(async () => {
    const explained = await tollgate.run('explain', email);
    expect(explained).toContain(subscription!.id);
  }).toPass();
});
