//! The way to Stripe's portal and back.

use std::time::Duration;

use crate::support::{Browser, Harness, PAYS, Page, on_both_databases};

on_both_databases! {
    async fn the_portal_opens_and_leads_back(database) {
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
        browser.post("/api/billing/portal", &[("flow", "card")]).await.location();
        assert_eq!(app.stripe_lists("/v1/billing_portal/configurations").await.len(), 1, "it is made once");
    }

    async fn cancelling_in_the_portal_is_said_here_and_can_be_taken_back(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let portal = browser.post("/api/billing/portal", &[]).await.location();
        let id = app.stripe_newest("/v1/subscriptions").await;
        let press = async |what: &str| Browser::new("").post(&format!("{portal}/{what}/{id}"), &[]).await.status;
        assert_eq!(press("cancel").await, 303);
        app.settled().await;
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("Pro is cancelled.") && billing.contains("Keep the plan"), "{billing}");
        assert!(browser.opens("/dashboard/analytics").await, "it is open until it ends");
        assert_eq!(press("resume").await, 303);
        app.settled().await;
        assert!(!browser.get("/billing").await.body.contains("is cancelled."));
    }

    async fn payments_that_are_paused_at_stripe_are_said_and_close_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await);
        let until = app.tollgate.now().plus_days(400).0.to_string();
        let pause = [("pause_collection[behavior]", "void"), ("pause_collection[resumes_at]", &until)];
        app.stripe_makes(&subscription, &pause).await;
        app.settled().await;
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("Payments for Pro are paused.") && billing.contains("Nothing is charged until"), "{billing}");
        assert!(billing.contains("not charged later either"), "{billing}");
        // Two months of invoices that nobody pays.
        app.sandbox.advance(Duration::from_secs(75 * 86_400));
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await, "the plan stays as it is");
        app.stripe_makes(&subscription, &[("pause_collection", "")]).await;
        app.settled().await;
        assert!(!browser.get("/billing").await.body.contains("are paused."));
    }

    async fn nobody_is_led_to_anybody_elses_portal(database) {
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
        let (hers, eves) = (own(&ada).await, own(&eve).await);
        assert!(hers.contains("ada@example.com") && hers.contains("Cancel plan"), "{hers}");
        assert!(eves.contains("eve@example.org") && !eves.contains("ada@example.com"), "{eves}");
        assert!(!eves.contains("Cancel plan"), "{eves}");
        for fields in [vec![("customer", "cus_1")], vec![("flow", "everything")]] {
            assert_eq!(eve.post("/api/billing/portal", &fields).await.status, 422);
        }
        let anonymous = app.browser().post("/api/billing/portal", &[]).await;
        assert!(anonymous.location().starts_with("/login"));
        let foreign = eve.request(reqwest::Method::POST, "/api/billing/portal").header("origin", "https://evil.example");
        assert_eq!(Page::of(foreign).await.status, 403);
    }
}
