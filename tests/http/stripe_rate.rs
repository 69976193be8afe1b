//! Stripe's rate limit is shared: by all accounts, and by pages and background tasks.

use std::time::Duration;

use engine::portal;
use engine::settings::RequestRate;

use crate::support::{Harness, PAYS, Page, on_both_databases};

on_both_databases! {
    async fn an_account_whose_quota_is_used_up_sends_nothing_to_stripe(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let subscribed = app.subscribe(&browser, "PRO", PAYS).await.location();
        let bought = app.buy(&browser, "ai-500", PAYS).await.location();
        app.settled().await;
        let invoice = app.stripe_newest("/v1/invoices").await;
        let (limited, _) = app.another_node(|config| config.stripe_calls_per_minute = Some(0)).await;
        let browser = browser.at(&limited);
        let path = |url: &str| url.strip_prefix(&app.url).unwrap().to_owned();

        let before = app.sandbox.requests().len();
        let actions: [(&str, &[(&str, &str)]); 4] = [
            ("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]),
            ("/api/billing/checkout", &[("product", "ai-500")]),
            ("/api/billing/portal", &[]),
            ("/account/close", &[("password", "correct horse")]),
        ];
        for (action, form) in actions {
            let page = browser.post(action, form).await;
            assert_eq!(page.heading(), "Too many attempts", "{action}");
            assert_is_rejected(&page);
        }
        assert_is_rejected(&browser.get(&format!("/billing/invoice?id={invoice}")).await);
        assert_eq!(browser.get("/billing/return").await.location(), "/billing");
        let pages = [(subscribed, "Your payment is pending"), (bought, "500 AI generations: paid")];
        for (page, heading) in pages {
            let page = browser.get(&path(&page)).await;
            assert_eq!((page.status, page.heading().as_str()), (200, heading), "what is stored");
        }
        assert_eq!(browser.get("/billing/success?session_id=cs_test_of_eve").await.status, 404);
        assert_eq!(app.sandbox.requests().len(), before);
    }

    async fn events_are_applied_while_customers_use_up_their_part_of_the_rate(database) {
        // A burst of several hundred requests, and none after that for the time of a test.
        let rate = RequestRate { requests: 4000, per: Duration::from_secs(10 * 86_400) };
        let app = Harness::start_configured(database, |_| {}, |config| config.stripe.rate = Some(rate)).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        for _ in 0..rate.requests {
            if portal::refresh(&app.tollgate, &account).await.is_err() {
                break;
            }
        }
        let page = browser.post("/api/billing/portal", &[]).await;
        assert_eq!((page.status, page.heading().as_str()), (503, "Payments are unavailable"));

        let subscription = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &[("cancel_at_period_end", "true")]).await;
        app.settled().await;
        assert_eq!(browser.get("/billing").await.banner().tone, "warning", "it is canceled");
    }
}

fn assert_is_rejected(page: &Page) {
    assert_eq!(page.status, 429, "{}", page.body);
    let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}
