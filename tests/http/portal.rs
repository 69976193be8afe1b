//! Stripe's customer portal, and how changes that customers make there are shown here.

use std::time::Duration;

use reqwest::Method;
use server::config::Config;

use crate::support::{Browser, Harness, PAYS, Page, datetime, on_both_databases};

on_both_databases! {
    async fn the_portal_opens_and_links_back_to_billing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let address = browser.post("/api/billing/portal", &[]).await.location();
        assert!(address.starts_with(&app.sandbox.url()), "{address}");
        let portal = Browser::new("").get(&address).await;
        assert_eq!(portal.status, 200);
        assert!(portal.body.contains(&format!("{}/billing", app.url)), "{}", portal.body);
        let configurations = app.stripe_lists("/v1/billing_portal/configurations").await;
        assert_eq!(configurations.len(), 1);
        let card = browser.post("/api/billing/portal", &[("flow", "card")]).await;
        assert!(card.location().starts_with(&app.sandbox.url()), "{}", card.location());
        assert_eq!(app.stripe_lists("/v1/billing_portal/configurations").await, configurations, "it is created once");
    }

    async fn canceling_in_the_portal_is_shown_and_can_be_undone(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let portal = browser.post("/api/billing/portal", &[]).await.location();
        let id = app.stripe_newest("/v1/subscriptions").await;
        let press = async |what: &str| Browser::new("").post(&format!("{portal}/{what}/{id}"), &[]).await.status;
        assert_eq!(press("cancel").await, 303);
        app.settled().await;
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("action=\"/api/billing/portal\""), "{banner:?}");
        assert!(browser.opens("/dashboard/analytics").await, "the plan stays until the end of the period");
        assert_eq!(press("resume").await, 303);
        app.settled().await;
        assert_eq!(browser.get("/billing").await.banner().tone, "info", "only the trial is mentioned");
    }

    async fn portal_changes_are_on_the_next_page_before_any_webhook(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let portal = browser.post("/api/billing/portal", &[]).await.location();
        app.sandbox.hold_deliveries(true);
        let id = app.stripe_newest("/v1/subscriptions").await;
        assert_eq!(Browser::new("").post(&format!("{portal}/cancel/{id}"), &[]).await.status, 303);
        let back = format!("{}/billing/return", app.url);
        assert!(Browser::new("").get(&portal).await.body.contains(&format!("href=\"{back}\"")));
        let page = browser.get(&back).await;
        assert_eq!((page.status, page.location().as_str()), (303, "/billing"));
        assert_eq!(browser.get("/billing").await.banner().tone, "warning", "it is canceled");
        app.sandbox.fail_next(100, 503);
        assert_eq!(browser.get(&back).await.location(), "/billing", "without Stripe it shows what is known");
        app.sandbox.fail_next(0, 503);
        assert!(app.browser().get("/billing/return").await.location().starts_with("/login"));
    }

    async fn the_link_back_from_the_portal_asks_stripe_only_a_few_times_a_minute(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let id = app.stripe_newest("/v1/subscriptions").await;
        let fetched = || app.stripe_calls("GET", &format!("/v1/subscriptions/{id}"));
        let before = fetched();
        let head = Page::of(browser.request(Method::HEAD, "/billing/return")).await;
        assert_eq!((head.location().as_str(), fetched()), ("/billing", before), "HEAD fetches nothing");
        // More than in two minutes, in case one ends in between.
        let visits = 100;
        for _ in 0..visits {
            assert_eq!(browser.get("/billing/return").await.location(), "/billing");
        }
        let so_far = fetched();
        assert!((before + 1..before + visits).contains(&so_far), "{visits} visits fetched {} times", so_far - before);
        app.sandbox.advance(Duration::from_secs(60));
        assert_eq!(browser.get("/billing/return").await.location(), "/billing");
        assert!(fetched() > so_far, "the next minute");
    }

    async fn the_link_back_from_the_portal_does_not_wait_for_stripe(database) {
        // As long as the request to Stripe is open, only the page's own limit ends the wait.
        let configure = |config: &mut Config| config.stripe.timeout = Duration::from_secs(3600);
        let app = Harness::start_configured(database, |_| {}, configure).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let held = app.sandbox.hold_calls("GET", "/v1/");
        let page = browser.get("/billing/return").await;
        assert_eq!((page.status, page.location().as_str()), (303, "/billing"));
        assert!(held.count() > 0, "Stripe was asked");
        assert_eq!(browser.get("/billing").await.status, 200, "it shows what is stored");
    }

    async fn payments_that_are_paused_in_stripe_are_shown_and_keep_the_plan(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await);
        let until = app.tollgate.now().plus_days(400);
        let pause = [("pause_collection[behavior]", "void"), ("pause_collection[resumes_at]", &until.0.to_string())];
        app.stripe_makes(&subscription, &pause).await;
        app.settled().await;
        let banner = browser.get("/billing").await.banner();
        let resumes = datetime(until);
        assert!(banner.tone == "info" && banner.html.contains(&resumes), "{banner:?}");
        // Two months of invoices that are not paid.
        app.sandbox.advance(Duration::from_secs(75 * 86_400));
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await, "the plan stays");
        app.stripe_makes(&subscription, &[("pause_collection", "")]).await;
        app.settled().await;
        let billing = browser.get("/billing").await;
        assert!(billing.status == 200 && !billing.body.contains(&resumes), "{}", billing.body);
    }

    async fn everyone_is_sent_to_their_own_portal(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        let eve = app.signed_up("eve@example.org").await;
        app.subscribe(&ada, "PRO", PAYS).await;
        let own = async |browser: &Browser| {
            let portal = browser.post("/api/billing/portal", &[]).await.location();
            let page = Browser::new("").get(&portal).await;
            assert_eq!(page.status, 200, "{}", page.body);
            page.body
        };
        let (ada_page, eve_page) = (own(&ada).await, own(&eve).await);
        assert!(ada_page.contains("ada@example.com") && ada_page.contains("Cancel plan"), "{ada_page}");
        assert!(eve_page.contains("eve@example.org") && !eve_page.contains("ada@example.com"), "{eve_page}");
        assert!(!eve_page.contains("Cancel plan"), "{eve_page}");
        for fields in [vec![("customer", "cus_1")], vec![("flow", "everything")]] {
            assert_eq!(eve.post("/api/billing/portal", &fields).await.status, 422);
        }
        let anonymous = app.browser().post("/api/billing/portal", &[]).await;
        assert!(anonymous.location().starts_with("/login"));
        let foreign = eve.request(Method::POST, "/api/billing/portal").header("origin", "https://evil.example");
        assert_eq!(Page::of(foreign).await.status, 403);
    }
}
