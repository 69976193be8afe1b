import { defineConfig, devices } from '@playwright/test';

const browser = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** The whole suite runs twice; what needs a script says so with `@javascript`. */
const suite = [
  { name: 'javascript', testIgnore: 'screenshots.spec.ts' },
  {
    name: 'no-javascript',
    testIgnore: 'screenshots.spec.ts',
    grepInvert: /@javascript/,
    use: { javaScriptEnabled: false },
  },
];
/** The pictures in docs/ are made only when asked for: `npm run screenshots`. */
const pictures = [{ name: 'screenshots', testMatch: 'screenshots.spec.ts' }];

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
    // A page that fades in is not clicked at, and axe measures no colour on its way.
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
  projects: process.env.SCREENSHOTS ? pictures : suite,
});
