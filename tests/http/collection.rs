//! A new payment method pays what is owed and resumes what is paused, once.

use std::time::Duration;

use sandbox::AfterLastRetry;

use crate::support::{Browser, Harness, PAYS, on_both_databases};

const DAY: u64 = 86_400;
/// A card that can be saved and then fails every charge.
const FAILS_LATER: &str = "4000000000000341";

on_both_databases! {
    async fn a_new_card_pays_the_open_invoice_once(database) {
        let (app, browser) = past_due(database).await;
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active");
        assert!(browser.get("/billing").await.banners().is_empty(), "nothing is left to do");
        rename(&app).await;
        assert_eq!(charges(&app, true).await, 1, "it is paid once");
    }

    async fn a_new_card_that_is_declined_is_tried_once(database) {
        let (app, browser) = past_due(database).await;
        let before = charges(&app, false).await;
        save_card(&browser, FAILS_LATER).await;
        app.settled().await;
        assert_eq!(status(&app).await, "past_due");
        rename(&app).await;
        assert_eq!(charges(&app, false).await, before + 1, "further events do not try it again");
        let banner = browser.get("/billing").await.banner();
        assert!(banner.html.contains("Pay $29"), "{banner:?}");
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active", "the next card pays");
    }

    async fn a_lost_response_to_the_payment_does_not_pay_twice(database) {
        let (app, browser) = past_due(database).await;
        app.sandbox.limit_faults_to("/v1/invoices/");
        app.sandbox.drop_next_responses(1);
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active");
        assert_eq!(charges(&app, true).await, 1, "it is paid once");
    }

    async fn a_card_added_after_a_trial_without_one_resumes_the_plan(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await.to_string();
        let named = [("email", "ada@example.com"), ("metadata[account_id]", account.as_str())];
        let customer = app.stripe_makes("/v1/customers", &named).await;
        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let fields = [
            ("customer", customer.as_str()),
            ("items[0][price]", price.as_str()),
            ("trial_period_days", "2"),
            ("trial_settings[end_behavior][missing_payment_method]", "pause"),
        ];
        app.stripe_makes("/v1/subscriptions", &fields).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await, "in the trial");
        pass(&app, 2 * DAY + 60).await;
        assert_eq!(status(&app).await, "paused");
        assert!(!browser.opens("/dashboard/analytics").await);
        let banner = browser.get("/billing").await.banner();
        assert!(banner.html.contains("Add card"), "{banner:?}");

        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active");
        assert!(browser.opens("/dashboard/analytics").await);
        let invoices = app.stripe_lists("/v1/invoices?status=paid").await;
        assert_eq!(invoices[0]["amount_paid"], 2_900, "it was charged when it was resumed");
    }

    async fn a_plan_paused_after_failed_payments_can_be_paid_and_is_resumed_by_a_new_card(database) {
        let (app, browser) = past_due(database).await;
        app.sandbox.after_last_retry(AfterLastRetry::Pause);
        pass(&app, 30 * DAY).await;
        assert_eq!(status(&app).await, "paused");
        assert!(!browser.opens("/dashboard/analytics").await, "the grace period has ended");
        let banner = browser.get("/billing").await.banner();
        assert!(banner.html.contains("Pay $29") && banner.html.contains("href=\"/billing/invoice?id="), "{banner:?}");
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active");
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn customers_that_belong_to_no_account_are_not_charged(database) {
        let app = Harness::start(database).await;
        let customer = app.stripe_makes("/v1/customers", &[("email", "eve@example.org")]).await;
        let attach = async |card: &str| {
            let path = format!("/v1/payment_methods/{card}/attach");
            app.stripe_makes(&path, &[("customer", customer.as_str())]).await
        };
        let fails = attach("pm_card_chargeCustomerFail").await;
        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let fields = [
            ("customer", customer.as_str()),
            ("items[0][price]", price.as_str()),
            ("trial_period_days", "2"),
            ("default_payment_method", fails.as_str()),
        ];
        let subscription = app.stripe_makes("/v1/subscriptions", &fields).await;
        pass(&app, 2 * DAY + 60).await;
        assert_eq!(status(&app).await, "past_due");
        let pays = attach("pm_card_visa").await;
        app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &[("default_payment_method", &pays)]).await;
        app.settled().await;
        assert_eq!(status(&app).await, "past_due", "what others sell is theirs to collect");
    }
}

/// An account whose first payment after the trial has failed.
async fn past_due(database: crate::support::DatabaseKind) -> (Harness, Browser) {
    let app = Harness::start(database).await;
    let browser = app.signed_up("ada@example.com").await;
    app.subscribe(&browser, "PRO", FAILS_LATER).await;
    app.settled().await;
    pass(&app, 14 * DAY + 60).await;
    assert_eq!(status(&app).await, "past_due");
    (app, browser)
}

/// Replaces the card on Stripe's page.
async fn save_card(browser: &Browser, number: &str) {
    let portal = browser.post("/api/billing/portal", &[("flow", "card")]).await.location();
    let card = [("number", number), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada Lovelace")];
    let saved = Browser::new("").post(&portal, &card).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
}

/// Changes the customer in a way that has nothing to do with payments.
async fn rename(app: &Harness) {
    let customer = app.stripe_newest("/v1/customers").await;
    app.stripe_makes(&format!("/v1/customers/{customer}"), &[("name", "Ada Ltd")]).await;
    app.settled().await;
}

/// How many charges have succeeded, or failed.
async fn charges(app: &Harness, paid: bool) -> usize {
    app.stripe_lists("/v1/charges?limit=100").await.iter().filter(|charge| charge["paid"] == paid).count()
}

async fn status(app: &Harness) -> String {
    app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"].as_str().unwrap().to_owned()
}

/// Advances the clock of Stripe and of the app, and waits until everything that follows is applied.
async fn pass(app: &Harness, seconds: u64) {
    app.sandbox.advance(Duration::from_secs(seconds));
    app.settled().await;
}
