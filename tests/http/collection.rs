//! A new payment method pays what is owed and resumes what is paused, once.

use std::time::Duration;

use sandbox::AfterLastRetry;

use crate::support::{Browser, FAILS_LATER, Harness, PAYS, on_both_databases};

const DAY: u64 = 86_400;

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

    async fn a_failure_that_stripe_keeps_delays_a_payment_for_minutes(database) {
        let (app, browser) = past_due(database).await;
        let invoice = app.stripe_newest("/v1/invoices?status=open").await;
        keep_failure(&app, &format!("/v1/invoices/{invoice}/pay"));
        save_card(&browser, PAYS).await;
        waits_for_stripe(&app).await;
        assert_eq!(status(&app).await, "past_due");
        pass(&app, 10 * 60).await;
        assert_eq!((status(&app).await.as_str(), charges(&app, true).await), ("active", 1));
    }

    async fn a_failure_that_stripe_keeps_delays_resuming_for_minutes(database) {
        let (app, browser) = paused(database).await;
        let subscription = app.stripe_newest("/v1/subscriptions?status=all").await;
        keep_failure(&app, &format!("/v1/subscriptions/{subscription}/resume"));
        save_card(&browser, PAYS).await;
        waits_for_stripe(&app).await;
        assert_eq!(status(&app).await, "paused");
        pass(&app, 10 * 60).await;
        assert_eq!((status(&app).await.as_str(), charges(&app, true).await), ("active", 1));
    }

    async fn a_card_that_failed_to_resume_a_plan_is_not_tried_again(database) {
        let (app, browser) = paused(database).await;
        save_card(&browser, FAILS_LATER).await;
        app.settled().await;
        assert_eq!((status(&app).await.as_str(), charges(&app, false).await), ("paused", 1));
        // As Stripe does after a day.
        let invoice = app.stripe_newest("/v1/invoices?status=open").await;
        app.stripe_makes(&format!("/v1/invoices/{invoice}/void"), &[]).await;
        pass(&app, 2 * DAY).await;
        rename(&app).await;
        assert_eq!((status(&app).await.as_str(), charges(&app, false).await), ("paused", 1));
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "active", "the next card resumes it");
    }

    async fn a_purchase_does_not_pay_what_is_owed(database) {
        let (app, browser) = past_due(database).await;
        app.sandbox.hold_deliveries(true);
        save_card(&browser, PAYS).await;
        let checkout = browser.post("/api/billing/checkout", &[("product", "ai-500")]).await;
        assert_eq!(checkout.status, 303, "{}", checkout.body);
        assert_eq!((status(&app).await.as_str(), charges(&app, true).await), ("past_due", 0));
        app.sandbox.hold_deliveries(false);
        app.settled().await;
        assert_eq!((status(&app).await.as_str(), charges(&app, true).await), ("active", 1), "the new card does");
    }

    async fn a_card_added_after_a_trial_without_one_resumes_the_plan(database) {
        let (app, browser) = paused(database).await;
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

    async fn what_others_sell_to_the_same_customer_is_not_charged(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        let customer = app.stripe_newest("/v1/customers").await;
        let product = app.stripe_makes("/v1/products", &[("name", "Consulting")]).await;
        let fields = [
            ("product", product.as_str()),
            ("unit_amount", "90000"),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
        ];
        let price = app.stripe_makes("/v1/prices", &fields).await;
        let attach = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
        let fails = app.stripe_makes(attach, &[("customer", &customer)]).await;
        let default = [("invoice_settings[default_payment_method]", fails.as_str())];
        app.stripe_makes(&format!("/v1/customers/{customer}"), &default).await;
        let fields = [("customer", customer.as_str()), ("items[0][price]", &price), ("trial_period_days", "2")];
        app.stripe_makes("/v1/subscriptions", &fields).await;
        app.settled().await;
        pass(&app, 2 * DAY + 60).await;
        assert_eq!(status(&app).await, "past_due");
        save_card(&browser, PAYS).await;
        app.settled().await;
        assert_eq!(status(&app).await, "past_due", "what others sell is theirs to collect");
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

/// An account whose trial has ended without a payment method.
async fn paused(database: crate::support::DatabaseKind) -> (Harness, Browser) {
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
    (app, browser)
}

/// Makes the next call fail, and every other under its idempotency key.
fn keep_failure(app: &Harness, path: &str) {
    let faults = [("path", path), ("keep", "true"), ("status", "500"), ("fail_next", "1")];
    app.sandbox.control("POST faults", &faults).unwrap();
}

/// Waits until an event could not be applied because Stripe failed.
async fn waits_for_stripe(app: &Harness) {
    let waiting = "SELECT event_id FROM webhook_event WHERE last_error IS NOT NULL AND state = 'pending'";
    app.until(async || !app.database.texts(app.tollgate.db(), waiting).await.is_empty()).await;
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
