//! Payments that fail later: grace, retries, recovery, and what the billing page shows meanwhile.

use std::sync::Arc;
use std::time::Duration;

use billing::Catalog;
use engine::store::subscriptions;
use sandbox::AfterLastRetry;

use crate::support::{Browser, DatabaseKind, FAILS_LATER, Harness, PAYS, Page, on_both_databases};

const DAY: u64 = 86_400;
/// A card that asks for 3-D Secure at every payment.
const ALWAYS_ASKS: &str = "4000002760003184";

on_both_databases! {
    async fn a_trial_that_is_about_to_end_asks_for_attention_three_days_before(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert_eq!(billing(&browser).await.banner().tone, "info");
        pass(&app, 11 * DAY + 60).await;
        let banner = billing(&browser).await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("$29"), "{banner:?}");
        pass(&app, 3 * DAY).await;
        assert!(billing(&browser).await.banners().is_empty(), "it was charged");
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_failed_payment_leaves_three_days_regardless_of_retries(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 14 * DAY).await;
        let failed_at = past_due_since(&app).await;
        let banner = billing(&browser).await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("href=\"/billing/invoice?id="), "{banner:?}");
        assert!(browser.opens("/dashboard/analytics").await, "within the grace period");

        // The clock runs during this test, which takes far less than an hour.
        let left = u64::try_from(failed_at + 3 * 86_400 - app.tollgate.now().0).unwrap();
        pass(&app, left - 3600).await;
        assert!(browser.opens("/dashboard/analytics").await, "to the end of the grace period");
        pass(&app, 3600).await;
        assert!(!browser.opens("/dashboard/analytics").await, "and no longer");
        assert_eq!(billing(&browser).await.banner().tone, "danger");

        // Stripe's own retries continue, and fail.
        pass(&app, 5 * DAY).await;
        assert_eq!(past_due_since(&app).await, failed_at, "a retry does not extend the grace period");
        assert!(!browser.opens("/dashboard/analytics").await);
    }

    async fn paying_the_open_invoice_restores_access(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 18 * DAY).await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let owed = app.stripe_newest("/v1/invoices?status=open").await;
        let hosted = browser.get(&format!("/billing/invoice?id={owed}")).await.location();
        let card = [("number", PAYS), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada Lovelace")];
        let paid = Browser::new("").post(&hosted, &card).await;
        assert!(paid.status < 400, "{}", paid.body);
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert!(billing(&browser).await.banners().is_empty());
    }

    async fn after_the_last_retry_the_subscription_follows_stripe(database) {
        let app = Harness::start(database).await;
        app.sandbox.after_last_retry(AfterLastRetry::Unpaid);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 45 * DAY).await;
        assert_eq!(app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"], "unpaid");
        assert!(!browser.opens("/dashboard/analytics").await);
        assert_eq!(billing(&browser).await.banner().tone, "danger");
        let again = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(again.location(), "/billing?notice=already_subscribed", "it can be paid, but not bought twice");
    }

    async fn a_bank_that_asks_for_confirmation_is_shown_with_a_link(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", ALWAYS_ASKS).await;
        app.settled().await;
        pass(&app, 14 * DAY).await;
        let banner = billing(&browser).await.banner();
        assert!(banner.tone == "danger" && banner.html.contains("$29"), "{banner:?}");
        let page = banner.html.split("href=\"/billing/invoice?id=").nth(1).unwrap().split('"').next().unwrap();
        let hosted = browser.get(&format!("/billing/invoice?id={page}")).await.location();
        assert_eq!(Browser::new("").get(&hosted).await.status, 200);
    }

    async fn a_plan_that_was_canceled_ends_with_its_period(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let id = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_makes(&format!("/v1/subscriptions/{id}"), &[("cancel_at_period_end", "true")]).await;
        app.settled().await;
        pass(&app, 14 * DAY - 3600).await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert!(!is_in_history(&billing(&browser).await));
        pass(&app, 3600).await;
        assert!(!browser.opens("/dashboard/analytics").await);
        assert!(is_in_history(&billing(&browser).await));
    }

    async fn an_upgrade_whose_payment_failed_leaves_the_plan_that_was_paid(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        upgrade_without_paying(&app).await;
        let is_pro = async || {
            (browser.opens("/dashboard/analytics").await, browser.opens("/dashboard/support").await)
        };
        assert_eq!(is_pro().await, (true, false), "nothing above what was paid is open");
        let banner = billing(&browser).await.banner();
        assert_eq!(banner.tone, "warning");
        assert!(["Enterprise", "Pro"].iter().all(|plan| banner.html.contains(plan)), "the new and the kept plan: {banner:?}");
        pass(&app, 5 * DAY).await;
        assert_eq!(is_pro().await, (true, false), "and nothing below it is closed");

        let portal = browser.post("/api/billing/portal", &[("flow", "card")]).await.location();
        let card = [("number", PAYS), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada Lovelace")];
        assert_eq!(Browser::new("").post(&portal, &card).await.status, 303);
        app.settled().await;
        assert_eq!(is_pro().await, (true, true), "the upgrade is paid");
    }

    async fn an_upgrade_from_a_price_that_was_replaced_leaves_the_plan_that_was_paid(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        let old = app.stripe_lists("/v1/prices?lookup_keys[]=tollgate_pro_month").await.remove(0);
        let replacement = [
            ("product", old["product"].as_str().unwrap()),
            ("unit_amount", "3900"),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
            ("lookup_key", "tollgate_pro_month"),
            ("transfer_lookup_key", "true"),
        ];
        app.stripe_makes("/v1/prices", &replacement).await;
        let subscription = format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await);
        app.stripe_makes(&subscription, &[("metadata[seen]", "after the price was replaced")]).await;
        app.settled().await;
        upgrade_without_paying(&app).await;
        let is_pro = async || {
            (browser.opens("/dashboard/analytics").await, browser.opens("/dashboard/support").await)
        };
        assert_eq!(is_pro().await, (true, false), "nothing above what was paid is open");
        pass(&app, 5 * DAY).await;
        assert_eq!(is_pro().await, (true, false), "and nothing below it is closed");
    }

    async fn a_bank_debit_in_progress_asks_for_no_other_payment(database) {
        let app = without_trial(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let back = pay_by_debit(&app, &browser, "000123456789").await;
        let success = browser.get(&back).await;
        assert_eq!(success.heading(), "Your payment is pending");
        assert!(!success.body.contains("http-equiv=\"refresh\""), "no one waits for days: {}", success.body);
        app.settled().await;
        let page = billing(&browser).await;
        let banner = page.banner();
        assert!(banner.tone == "info" && banner.html.contains("$29") && !banner.html.contains("<a "), "{banner:?}");
        assert!(page.body.contains("View invoice") && !page.body.contains("Pay invoice"), "{}", page.body);
        pass(&app, 5 * DAY).await;
        assert!(billing(&browser).await.banners().is_empty(), "it has cleared");
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_bank_debit_that_fails_can_be_paid_another_way(database) {
        let app = without_trial(database).await;
        let browser = app.signed_up("ada@example.com").await;
        pay_by_debit(&app, &browser, "000111111116").await;
        app.settled().await;
        assert_eq!(billing(&browser).await.banner().tone, "info");
        pass(&app, 4 * DAY + 60).await;
        let banner = billing(&browser).await.banner();
        assert_eq!(banner.tone, "danger");
        assert!(banner.html.contains("href=\"/billing/invoice?id=") && banner.html.contains("$29"), "{banner:?}");
        // The invoice is as old as the subscription, so the grace period has ended.
        assert!(!browser.opens("/dashboard/analytics").await);
    }

    async fn every_renewal_is_listed_page_by_page(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        for _ in 0..14 {
            pass(&app, 31 * DAY).await;
            assert!(browser.opens("/dashboard/analytics").await);
        }
        let first = billing(&browser).await.body;
        let older = first.split("href=\"/billing?invoices=").nth(1).expect("there is another page").split('"').next().unwrap();
        let second = browser.get(&format!("/billing?invoices={older}")).await.body;
        let rows = |page: &str| page.matches("as=pdf\"").count();
        let all = app.stripe_lists("/v1/invoices?limit=100").await.len();
        assert_eq!((rows(&first), rows(&first) + rows(&second)), (12, all));
    }
}

/// Upgrades the paying customer to Enterprise with a card that is declined.
async fn upgrade_without_paying(app: &Harness) {
    let customer = app.stripe_newest("/v1/customers").await;
    let attach = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let fails = app.stripe_makes(attach, &[("customer", &customer)]).await;
    let subscription = format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await);
    app.stripe_makes(&subscription, &[("default_payment_method", &fails)]).await;
    let item = app.stripe_lists("/v1/subscriptions").await[0]["items"]["data"][0]["id"].as_str().unwrap().to_owned();
    let enterprise = app.tollgate.gateway().price_by_lookup_key("tollgate_enterprise_month").await.unwrap();
    let upgrade = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", enterprise.as_str()),
        ("proration_behavior", "always_invoice"),
    ];
    app.stripe_makes(&subscription, &upgrade).await;
    app.settled().await;
    assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "past_due");
}

/// An app that sells its plans without a trial.
async fn without_trial(database: DatabaseKind) -> Harness {
    let plans = include_str!("../../plans.toml").replace("trial_days = 14", "trial_days = 0");
    let catalog = Arc::new(Catalog::parse(&plans, &|_| None).unwrap());
    Harness::start_configured(database, |_| {}, |config| config.catalog = catalog).await
}

/// Buys Pro with a bank account, and returns the address of the success page.
async fn pay_by_debit(app: &Harness, browser: &Browser, account: &str) -> String {
    let checkout = app.open_checkout(browser, "PRO").await;
    let fields = [("email", ""), ("name", "Ada Lovelace"), ("pay_with", "us_bank_account"), ("account", account)];
    let paid = Browser::new("").post(&checkout, &fields).await;
    assert_eq!(paid.status, 303, "{}", paid.body);
    paid.location()
}

async fn billing(browser: &Browser) -> Page {
    let page = browser.get("/billing").await;
    assert_eq!(page.status, 200, "{}", page.body);
    page
}

/// Whether the billing page lists a subscription to Pro that has ended.
fn is_in_history(billing: &Page) -> bool {
    billing.body.contains("<th scope=\"row\">Pro</th>")
}

/// Advances the clock of Stripe and of the app, and waits until everything that follows is applied.
async fn pass(app: &Harness, seconds: u64) {
    app.sandbox.advance(Duration::from_secs(seconds));
    app.settled().await;
}

async fn past_due_since(app: &Harness) -> i64 {
    let account = app.account("ada@example.com").await;
    let all = subscriptions::of_account(app.tollgate.db(), &account).await.unwrap();
    all[0].past_due_since.expect("it is past due").0
}
