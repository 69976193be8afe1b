// The official Node SDK, in a current version and in basil, against the sandbox: the life of a
// subscription, and webhooks that the SDK verifies. What it changes is checked on the app's pages.

import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buy, canceledPlan, credits, seeGone, seeOn, signUp, subscribe } from '../support/steps.ts';
import { control } from '../support/stripe.ts';
import { expect, test } from '../support/test.ts';
import type { Tollgate } from '../support/tollgate.ts';

test.use({ sharedBy: 'the Node SDK' });

const SECRET_KEY = 'sk_test_sandbox';

/** Either SDK. Their types differ by version, and only the protocol is tested. */
type Client = any;

async function client(module: string, stripe: string): Promise<{ stripe: Client; Stripe: Client }> {
  const { default: Stripe } = await import(module);
  const { hostname, port } = new URL(stripe);
  const options = { host: hostname, port: Number(port), protocol: 'http', telemetry: false, maxNetworkRetries: 0 };
  return { stripe: new Stripe(SECRET_KEY, options), Stripe };
}

/** A server that keeps the webhooks it receives. */
async function receiver() {
  const taken: { body: string; signature: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      taken.push({ body, signature: String(request.headers['stripe-signature']) });
      response.end('{}');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { taken, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

/** Creates a customer with a default card. */
async function customerWith(stripe: Client, card: string, more: object = {}) {
  const customer = await stripe.customers.create({ email: 'ada@example.com', ...more });
  const method = await stripe.paymentMethods.attach(card, { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: method.id } });
  return customer;
}

async function monthly(stripe: Client, amount: number) {
  return stripe.prices.create({
    currency: 'usd',
    unit_amount: amount,
    recurring: { interval: 'month' },
    product_data: { name: `For ${amount}` },
  });
}

/** Returns a user's account, from the command line. */
async function accountOf(tollgate: Tollgate, email: string): Promise<string> {
  return /^account +(\S+)$/m.exec(await tollgate.run('explain', email))![1]!;
}

for (const module of ['stripe', 'stripe-basil']) {
  test.describe(`${module} @javascript`, () => {
    test('a subscription from its trial to its end', async ({ tollgate }) => {
      const { stripe } = await client(module, tollgate.stripe);
      const [price, expensive] = await Promise.all([monthly(stripe, 1900), monthly(stripe, 4900)]);
      const customer = await customerWith(stripe, 'pm_card_visa');
      const key = { idempotencyKey: `subscribe-${customer.id}` };
      const wanted = { customer: customer.id, items: [{ price: price.id }], trial_period_days: 14 };
      const made = await stripe.subscriptions.create(wanted, key);
      expect((await stripe.subscriptions.create(wanted, key)).id).toBe(made.id);
      const other = stripe.subscriptions.create({ ...wanted, trial_period_days: 7 }, key);
      await expect(other).rejects.toMatchObject({ type: 'StripeIdempotencyError' });

      const active = await stripe.subscriptions.update(made.id, { trial_end: 'now', expand: ['latest_invoice.payments'] });
      expect(active.status).toBe('active');
      expect(active.latest_invoice.payments.data[0].status).toBe('paid');

      const item = active.items.data[0].id;
      const details = { items: [{ id: item, price: expensive.id }], proration_behavior: 'always_invoice' };
      const preview = await stripe.invoices.createPreview({ subscription: made.id, subscription_details: details });
      const upgraded = await stripe.subscriptions.update(made.id, { ...details, expand: ['latest_invoice'] });
      expect(Math.abs(upgraded.latest_invoice.amount_paid - preview.amount_due)).toBeLessThanOrEqual(1);

      const schedule = await stripe.subscriptionSchedules.create({ from_subscription: made.id });
      await stripe.subscriptionSchedules.release(schedule.id);
      const leaving = await stripe.subscriptions.update(made.id, { cancel_at_period_end: true });
      expect(leaving.cancel_at).toBe(leaving.items.data[0].current_period_end);
      expect((await stripe.subscriptions.cancel(made.id)).status).toBe('canceled');
      const invoices = [];
      for await (const invoice of stripe.invoices.list({ subscription: made.id, limit: 1 })) invoices.push(invoice);
      expect(invoices.map((invoice) => invoice.status)).toEqual(['paid', 'paid', 'paid']);
    });

    test('a declined card is a card error, and an unknown parameter is named', async ({ tollgate }) => {
      const { stripe } = await client(module, tollgate.stripe);
      const declined = stripe.paymentIntents.create({
        amount: 500,
        currency: 'usd',
        payment_method: 'pm_card_chargeDeclinedInsufficientFunds',
        payment_method_types: ['card'],
        confirm: true,
      });
      await expect(declined).rejects.toMatchObject({
        type: 'StripeCardError',
        code: 'card_declined',
        decline_code: 'insufficient_funds',
      });
      const wrong = stripe.customers.create({ emial: 'ada@example.com' });
      await expect(wrong).rejects.toMatchObject({ type: 'StripeInvalidRequestError', param: 'emial' });
    });

    test('refunds and disputes', async ({ tollgate }) => {
      const { stripe } = await client(module, tollgate.stripe);
      const pay = (card: string) =>
        stripe.paymentIntents.create({
          amount: 500,
          currency: 'usd',
          payment_method: card,
          payment_method_types: ['card'],
          confirm: true,
        });
      const paid = await pay('pm_card_visa');
      await stripe.refunds.create({ payment_intent: paid.id, amount: 200 });
      const charge = await stripe.charges.retrieve(paid.latest_charge, { expand: ['refunds'] });
      expect([charge.amount_refunded, charge.refunds.data.length]).toEqual([200, 1]);

      const disputed = await pay('pm_card_createDispute');
      const { data } = await stripe.disputes.list({ payment_intent: disputed.id });
      const evidence = { uncategorized_text: 'winning_evidence' };
      expect((await stripe.disputes.update(data[0].id, { evidence })).status).toBe('under_review');
      await control(tollgate.stripe, 'clock/advance', { seconds: 61 });
      expect((await stripe.disputes.retrieve(data[0].id)).status).toBe('won');
    });

    test('the portal', async ({ tollgate }) => {
      const { stripe } = await client(module, tollgate.stripe);
      const customer = await customerWith(stripe, 'pm_card_visa');
      const configuration = await stripe.billingPortal.configurations.create({
        features: { payment_method_update: { enabled: true }, invoice_history: { enabled: true } },
      });
      const session = await stripe.billingPortal.sessions.create({
        customer: customer.id,
        configuration: configuration.id,
        return_url: 'http://localhost/billing',
        flow_data: { type: 'payment_method_update' },
      });
      expect(session.flow.type).toBe('payment_method_update');
      expect((await fetch(session.url)).status).toBe(200);
    });

    test('usage is reported, summed and billed', async ({ tollgate }) => {
      const { stripe } = await client(module, tollgate.stripe);
      const event_name = `calls_${module.replace('-', '_')}_${Date.now()}`;
      const meter = await stripe.billing.meters.create({
        display_name: 'Calls',
        event_name,
        default_aggregation: { formula: 'sum' },
      });
      const price = await stripe.prices.create({
        currency: 'usd',
        unit_amount_decimal: '0.5',
        product_data: { name: 'Calls' },
        recurring: { interval: 'month', usage_type: 'metered', meter: meter.id },
      });
      const customer = await customerWith(stripe, 'pm_card_visa');
      const made = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: price.id }] });
      const payload = { stripe_customer_id: customer.id, value: '300' };
      const identifier = `once-${made.id}`;
      await stripe.billing.meterEvents.create({ event_name, identifier, payload });
      const again = stripe.billing.meterEvents.create({ event_name, identifier, payload });
      await expect(again).rejects.toMatchObject({ message: `An event already exists with identifier ${identifier}.` });
      await control(tollgate.stripe, 'clock/next', { change: 'renewal', object: made.id });
      const billed = await stripe.subscriptions.retrieve(made.id, { expand: ['latest_invoice'] });
      expect(billed.latest_invoice.amount_paid).toBe(150);
    });

    test('the SDK verifies webhooks', async ({ tollgate }) => {
      const { stripe, Stripe } = await client(module, tollgate.stripe);
      const inbox = await receiver();
      const endpoint = await stripe.webhookEndpoints.create({
        url: inbox.url,
        enabled_events: ['customer.created'],
        api_version: Stripe.API_VERSION,
      });
      const customer = await stripe.customers.create({ name: module });
      await expect.poll(() => inbox.taken.length).toBeGreaterThan(0);
      const taken = inbox.taken.map(({ body, signature }) =>
        stripe.webhooks.constructEvent(body, signature, endpoint.secret),
      );
      expect(taken.map((event) => event.data.object.id)).toContain(customer.id);
      const { body, signature } = inbox.taken[0]!;
      expect(() => stripe.webhooks.constructEvent(`${body} `, signature, endpoint.secret)).toThrow(/signature/i);
      await stripe.webhookEndpoints.del(endpoint.id);
      inbox.close();
    });

    test('a subscription that the SDK creates gives its customer access until it ends', async ({ page, tollgate, email }) => {
      const { stripe } = await client(module, tollgate.stripe);
      await signUp(page, email);
      const analytics = page.getByRole('heading', { level: 1, name: 'Analytics', exact: true });
      await page.goto('/dashboard/analytics');
      await expect(page).toHaveURL(/\/billing\/upgrade\?/);
      const account = await accountOf(tollgate, email);
      const customer = await customerWith(stripe, 'pm_card_visa', { email, metadata: { account_id: account } });
      const { data } = await stripe.prices.list({ lookup_keys: ['tollgate_pro_month'] });
      const made = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: data[0].id }] });
      await seeOn(page, '/dashboard/analytics', analytics);
      await page.goto('/billing');
      const plan = page.getByRole('region', { name: 'Your plan' });
      await expect(plan).toContainText('Pro');
      await expect(plan).toContainText('Active');

      await stripe.subscriptions.update(made.id, { cancel_at_period_end: true });
      const canceled = canceledPlan(page);
      await seeOn(page, '/billing', canceled);
      await stripe.subscriptions.update(made.id, { cancel_at_period_end: false });
      await seeGone(page, '/billing', canceled);
      await stripe.subscriptions.cancel(made.id);
      await seeOn(page, '/billing', plan.getByText('Free', { exact: true }));
      await page.goto('/dashboard/analytics');
      await expect(page).toHaveURL(/\/billing\/upgrade\?/);
      expect(await tollgate.run('explain', email)).toContain(`${made.id}  canceled`);
    });

    test('the SDK cancels and refunds what was bought in the browser', async ({ page, tollgate, email }) => {
      const { stripe } = await client(module, tollgate.stripe);
      await signUp(page, email);
      await subscribe(page);
      await buy(page);
      const customer = (await stripe.customers.list({ email })).data[0].id;
      const [subscription] = (await stripe.subscriptions.list({ customer })).data;
      await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
      await seeOn(page, '/billing', canceledPlan(page));

      await expect(credits(page, '500')).toBeVisible();
      const [session] = (await stripe.checkout.sessions.list({ customer })).data.filter((each: Client) => each.mode === 'payment');
      await stripe.refunds.create({ payment_intent: session.payment_intent });
      await seeOn(page, '/billing', page.getByText('Refunded', { exact: true }));
      await seeGone(page, '/billing', credits(page));
    });
  });
}
