// Stripe: its API, its hosted pages and the sandbox's controls.

import { expect, type Page } from '@playwright/test';

export const CARDS = {
  pays: '4242 4242 4242 4242',
  declined: '4000 0000 0000 0002',
  failsWhenCharged: '4000 0000 0000 0341',
  asksForAuthentication: '4000 0025 0000 3155',
  asksEveryTime: '4000 0027 6000 3184',
} as const;

/** The fields of Stripe's objects that tests read. */
interface StripeObject {
  id: string;
  status: string;
  /** Only of a subscription. */
  trial_end: number;
}

/** Calls the sandbox's control API: reads, or changes something with `parameters`. */
export async function control(stripe: string, path: string, parameters?: Record<string, unknown>) {
  const response = await fetch(`${stripe}/_sandbox/api/${path}`, {
    ...(parameters && {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(parameters),
    }),
  });
  const body = await response.json();
  expect(response.ok, JSON.stringify(body)).toBe(true);
  return body;
}

export class Stripe {
  constructor(readonly url: string) {}

  async #call(method: 'GET' | 'POST' | 'DELETE', path: string, fields: Record<string, string> = {}) {
    const query = new URLSearchParams(fields);
    const isGet = method === 'GET';
    const response = await fetch(`${this.url}/v1/${path}${isGet ? `?${query}` : ''}`, {
      method,
      headers: { authorization: 'Bearer sk_test_sandbox' },
      ...(isGet ? {} : { body: query }),
    });
    const body = await response.json();
    expect(response.ok, JSON.stringify(body)).toBe(true);
    return body;
  }

  async #ofCustomer(kind: string, email: string, fields: Record<string, string> = {}): Promise<StripeObject[]> {
    const customers = await this.#call('GET', 'customers', { email });
    const lists = customers.data.map((customer: StripeObject) =>
      this.#call('GET', kind, { customer: customer.id, ...fields }),
    );
    return (await Promise.all(lists)).flatMap((list) => list.data);
  }

  /** Returns the customer with this address. */
  async customer(email: string): Promise<StripeObject> {
    const customers = await this.#call('GET', 'customers', { email });
    expect(customers.data).toHaveLength(1);
    return customers.data[0];
  }

  /** Returns the customer's Checkout Sessions. */
  checkoutSessions(email: string): Promise<StripeObject[]> {
    return this.#ofCustomer('checkout/sessions', email);
  }

  /** Returns the customer's subscriptions, ended ones included. */
  subscriptions(email: string): Promise<StripeObject[]> {
    return this.#ofCustomer('subscriptions', email, { status: 'all' });
  }

  /** Returns the subscriptions of the customer with this id, ended ones included. */
  async subscriptionsOf(customer: string): Promise<StripeObject[]> {
    return (await this.#call('GET', 'subscriptions', { customer, status: 'all' })).data;
  }

  /** Returns the customer's payments for one-time purchases. */
  payments(email: string): Promise<StripeObject[]> {
    return this.#ofCustomer('payment_intents', email);
  }

  async expire(session: string): Promise<void> {
    await this.#call('POST', `checkout/sessions/${session}/expire`);
  }

  async cancelAtPeriodEnd(subscription: string): Promise<void> {
    await this.#call('POST', `subscriptions/${subscription}`, { cancel_at_period_end: 'true' });
  }

  async cancelNow(subscription: string): Promise<void> {
    await this.#call('DELETE', `subscriptions/${subscription}`);
  }

  /** Refunds the customer's only payment, in full or in part. */
  async refund(email: string, amount?: number): Promise<void> {
    const payments = await this.payments(email);
    expect(payments).toHaveLength(1);
    await control(this.url, `payments/${payments[0]!.id}/refund`, amount === undefined ? {} : { amount });
  }

  /** Advances the clock. */
  async advance(span: { days?: number; hours?: number; minutes?: number }): Promise<void> {
    await control(this.url, 'clock/advance', span);
  }

  /** Advances the clock to the end of the trial of the customer's only subscription. */
  async endTrial(email: string): Promise<void> {
    const subscriptions = await this.subscriptions(email);
    expect(subscriptions).toHaveLength(1);
    await control(this.url, 'clock/advance', { to: subscriptions[0]!.trial_end });
  }
}

/** Returns the id of the session whose hosted page is open. */
export function sessionOf(page: Page): string {
  return new URL(page.url()).pathname.split('/')[3]!;
}

/** Fills in the card on a hosted page. */
export async function fillCard(page: Page, number: string): Promise<void> {
  await page.getByLabel('Card number').fill(number);
  await page.getByLabel('Expiry').fill('12 / 40');
  await page.getByLabel('CVC').fill('123');
  await page.getByLabel('Name on card').fill('Ada Lovelace');
}

/** Fills in the card on a hosted page and sends the form. */
export async function pay(page: Page, number: string = CARDS.pays): Promise<void> {
  await fillCard(page, number);
  await page.getByRole('button', { name: /Start trial|Subscribe|Pay/ }).click();
}
