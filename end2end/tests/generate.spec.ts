// Generating text over the API, and how it is counted.

import { signUp, subscribe, usageBar, usageNotice } from '../support/steps.ts';
import { expect, test } from '../support/test.ts';

const PROMPT = { prompt: 'A toll gate at dawn' };

test('usage of an API key is shown by key', async ({ page, email, playwright, tollgate }) => {
  await signUp(page, email);
  await subscribe(page);
  await page.goto('/dashboard/api-keys');
  await page.getByRole('textbox', { name: 'Name' }).fill('Poet');
  await page.getByRole('button', { name: 'Create key' }).click();
  const key = await page.getByLabel('New API key').inputValue();

  const program = await playwright.request.newContext({ baseURL: tollgate.url });
  expect((await program.post('/api/v1/generate', { data: PROMPT })).status()).toBe(401);
  const headers = { authorization: `Bearer ${key}` };
  const response = await program.post('/api/v1/generate', { headers, data: PROMPT });
  expect(response.status()).toBe(200);
  expect((await response.json()).text).not.toBe('');

  // Two calls with one idempotency key return one text and count once.
  const repeated = { ...headers, 'idempotency-key': 'once' };
  const first = await program.post('/api/v1/generate', { headers: repeated, data: PROMPT });
  const second = await program.post('/api/v1/generate', { headers: repeated, data: PROMPT });
  expect(await second.json()).toEqual(await first.json());
  await program.dispose();

  await page.goto('/dashboard/analytics');
  for (const [meter, limit] of [['AI generations', '500'], ['API calls', '10000']] as const) {
    await expect(usageBar(page, meter)).toHaveAttribute('value', '2');
    await expect(usageBar(page, meter)).toHaveAttribute('max', limit);
  }
  const row = page.getByRole('region', { name: 'By key' }).getByRole('row', { name: /^Poet/ });
  await expect(row.getByRole('cell')).toHaveText(['2', '2']);
  await page.goto('/dashboard/api-keys');
  const listed = page.getByRole('listitem').filter({ hasText: 'Poet' });
  await expect(listed).toContainText('2 API calls');
  await expect(listed).toContainText('2 AI generations');
});

test('a generation is streamed', async ({ page, email }) => {
  await signUp(page, email);
  const response = await page.request.post('/api/v1/generate', { data: { ...PROMPT, stream: true } });
  expect(response.headers()['content-type']).toContain('text/event-stream');
  const events = (await response.text()).split('\n').filter((line) => line.startsWith('event:'));
  expect(events.at(0)).toMatch(/delta$/);
  expect(events.at(-1)).toMatch(/done$/);
});

test('a notice about a limit can be dismissed, and there is another one at the limit', async ({ page, email }) => {
  await signUp(page, email);
  const generate = () => page.request.post('/api/v1/generate', { data: PROMPT });
  for (let call = 0; call < 8; call += 1) expect((await generate()).status()).toBe(200);

  await page.goto('/dashboard');
  const notice = usageNotice(page, 'AI generations');
  await expect(notice).toContainText('8 of 10');
  await page.getByRole('button', { name: 'Dismiss the notice about AI generations' }).click();
  await expect(page).toHaveURL('/dashboard');
  await expect(notice).toHaveCount(0);
  await page.goto('/billing');
  await expect(notice).toHaveCount(0);

  for (let call = 8; call < 10; call += 1) expect((await generate()).status()).toBe(200);
  expect((await generate()).status()).toBe(402);
  await page.goto('/billing');
  await expect(notice).toContainText('rejected');
});
