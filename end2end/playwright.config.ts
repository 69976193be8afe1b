import { defineConfig, devices } from '@playwright/test';

const browser = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Every test runs with and without JavaScript, unless it is tagged `@javascript`. */
const suite = [
  { name: 'javascript', testIgnore: 'screenshots.spec.ts' },
  {
    name: 'no-javascript',
    testIgnore: 'screenshots.spec.ts',
    grepInvert: /@javascript/,
    use: { javaScriptEnabled: false },
  },
];
/** The screenshots in docs/ are only taken by `npm run screenshots`. */
const screenshots = [{ name: 'screenshots', testMatch: 'screenshots.spec.ts' }];

export default defineConfig({
  testDir: 'tests',
  fullyParallel: true,
  forbidOnly: true,
  retries: 0,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [['list'], ['html', { open: 'never' }]],
  use: {
    ...devices['Desktop Chrome'],
    locale: 'en-GB',
    timezoneId: 'UTC',
    viewport: { width: 1280, height: 800 },
    // During a transition, clicks may be lost and axe would measure the wrong colors.
    contextOptions: { reducedMotion: 'reduce' },
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: browser,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: process.env.SCREENSHOTS ? screenshots : suite,
});
