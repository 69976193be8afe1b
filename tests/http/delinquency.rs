//! Payments that fail later: grace, retries, recovery, and what the billing page says meanwhile.

use std::time::Duration;

use sandbox::AfterLastRetry;
use server::store::subscriptions;

use crate::support::{Browser, Harness, on_both_databases};

const DAY: u64 = 86_400;
/// Can be saved, then every charge fails.
const FAILS_LATER: &str = "4000000000000341";
/// Asks for 3-D Secure at every payment.
const ALWAYS_ASKS: &str = "4000002760003184";

on_both_databases! {
    async fn a_trial_about_to_end_says_so_three_days_before(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", crate::support::PAYS).await;
        app.settled().await;
        assert!(browser.get("/billing").await.body.contains("Your free trial of Pro is running."));
        pass(&app, 11 * DAY + 60).await;
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("Your free trial of Pro ends soon."), "the banner");
        assert!(billing.contains("$29 per month, unless you cancel before"), "what comes then");
        pass(&app, 3 * DAY).await;
        let billing = browser.get("/billing").await.body;
        assert!(!billing.contains("free trial of Pro") && billing.contains("Renews"), "it was charged");
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_failed_payment_leaves_exactly_three_days_whatever_the_retries_do(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 14 * DAY).await;
        let failed_at = past_due_since(&app).await;
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("The last payment for Pro failed.") && billing.contains("Pay now"), "the banner");
        assert!(browser.opens("/dashboard/analytics").await, "inside the grace");

        let left = u64::try_from(failed_at + 3 * 86_400 - app.tollgate.now().0).unwrap();
        pass(&app, left - 5).await;
        assert!(browser.opens("/dashboard/analytics").await, "to its last seconds");
        pass(&app, 6).await;
        assert!(!browser.opens("/dashboard/analytics").await, "and not longer");
        assert!(browser.get("/billing").await.body.contains("Pro is closed because a payment failed."));

        // Stripe's own retries go on, and fail.
        pass(&app, 5 * DAY).await;
        assert_eq!(past_due_since(&app).await, failed_at, "a retry does not move it");
        assert!(!browser.opens("/dashboard/analytics").await);
    }

    async fn paying_what_is_owed_opens_it_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 18 * DAY).await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let portal = browser.post("/api/billing/portal", &[]).await.location();
        let card = [("number", crate::support::PAYS), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada Lovelace")];
        assert_eq!(Browser::new("").post(&portal, &card).await.status, 303);
        let owed = app.stripe_newest("/v1/invoices?status=open").await;
        assert_eq!(Browser::new("").post(&format!("{portal}/pay/{owed}"), &[]).await.status, 303);
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        let billing = browser.get("/billing").await.body;
        assert!(!billing.contains("failed") && billing.contains("Renews"), "the banner is gone");
    }

    async fn when_all_retries_have_failed_it_is_what_stripe_says(database) {
        let app = Harness::start(database).await;
        app.sandbox.after_last_retry(AfterLastRetry::Unpaid);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        pass(&app, 45 * DAY).await;
        assert_eq!(app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"], "unpaid");
        assert!(!browser.opens("/dashboard/analytics").await);
        assert!(browser.get("/billing").await.body.contains("Pro is unpaid and closed."));
        let again = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(again.location(), "/billing?notice=already_subscribed", "it can be paid, not doubled");
    }

    async fn a_bank_that_wants_a_word_is_said_with_the_way_to_it(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", ALWAYS_ASKS).await;
        app.settled().await;
        pass(&app, 14 * DAY).await;
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("Your bank asks you to confirm $29 for Pro."), "{billing}");
        let page = billing.split("href=\"/billing/invoice?id=").nth(1).unwrap().split('"').next().unwrap();
        let hosted = browser.get(&format!("/billing/invoice?id={page}")).await.location();
        assert_eq!(Browser::new("").get(&hosted).await.status, 200);
    }

    async fn a_plan_that_was_told_to_end_ends_then(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", crate::support::PAYS).await;
        app.settled().await;
        let id = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_makes(&format!("/v1/subscriptions/{id}"), &[("cancel_at_period_end", "true")]).await;
        app.settled().await;
        pass(&app, 14 * DAY - 120).await;
        assert!(browser.opens("/dashboard/analytics").await);
        pass(&app, 240).await;
        assert!(!browser.opens("/dashboard/analytics").await);
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("History") && billing.contains("Ended"), "it is history");
    }

    async fn years_go_by_and_every_renewal_is_known(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", crate::support::PAYS).await;
        app.settled().await;
        for _ in 0..14 {
            pass(&app, 31 * DAY).await;
            assert!(browser.opens("/dashboard/analytics").await);
        }
        let first = browser.get("/billing").await.body;
        let older = first.split("href=\"/billing?invoices=").nth(1).expect("there is another page").split('"').next().unwrap();
        let second = browser.get(&format!("/billing?invoices={older}")).await.body;
        let rows = |page: &str| page.matches(">PDF</a>").count();
        let all = app.stripe_lists("/v1/invoices?limit=100").await.len();
        assert_eq!((rows(&first), rows(&first) + rows(&second)), (12, all));
    }
}

/// Lets time pass at Stripe and here, and waits until what it brought is applied.
async fn pass(app: &Harness, seconds: u64) {
    app.sandbox.advance(Duration::from_secs(seconds));
    app.settled().await;
}

async fn past_due_since(app: &Harness) -> i64 {
    let account = app.account("ada@example.com").await;
    let all = subscriptions::of_account(app.tollgate.db(), &account).await.unwrap();
    all[0].past_due_since.expect("it is past due").0
}
