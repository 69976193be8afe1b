//! Closing an account: its subscriptions end in Stripe first, and the ledger stays.

use std::time::Duration;

use engine::metering::{self, Recorded, UsageEvent};
use engine::reconcile::{Drift, Mode, reconcile};
use engine::store::inbox::{self, EventState};
use engine::store::{Cursor, accounts, invoices, purchases};
use engine::tasks::sweeper::prune;
use sandbox::HeldCalls;
use server::product::API_CALLS;
use tokio::task::JoinHandle;

use crate::support::{Browser, CENTS_PER_CALL, DatabaseKind, Harness, PAYS, Page, on_both_databases, pay};

const RIGHT: [(&str, &str); 1] = [("password", "correct horse")];

on_both_databases! {
    async fn closing_ends_the_subscription_and_keeps_the_payments(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let page = browser.post("/account/close", &RIGHT).await;
        assert_eq!((page.status, page.location()), (303, "/?notice=closed".to_owned()));

        let statuses: Vec<_> = app.stripe_lists("/v1/subscriptions?status=all").await;
        assert_eq!(statuses[0]["status"], "canceled");
        assert!(browser.get("/dashboard").await.location().starts_with("/login"), "the session has ended");
        let login = [("email", "ada@example.com"), ("password", "correct horse")];
        assert_eq!(browser.post("/login", &login).await.status, 401);
        app.settled().await;
        let db = app.tollgate.db();
        assert_eq!(invoices::of_account(db, &account, &Cursor::start(), 9).await.unwrap().len(), 1);
        assert_eq!(purchases::of_account(db, &account, &Cursor::start(), 9).await.unwrap().len(), 1);
    }

    async fn closing_erases_the_address_and_the_name_everywhere_but_on_invoices(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        assert_eq!(browser.post("/login", &[("email", "ada@example.com"), ("password", "wrong")]).await.status, 401);
        let right = [("email", "ada@example.com"), ("password", "correct horse")];
        assert_eq!(app.browser().post("/login", &right).await.status, 303, "in another browser");
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let customer = app.stripe_newest("/v1/customers").await;
        let described = [("name", "Ada Lovelace"), ("phone", "+4420")];
        app.stripe_makes(&format!("/v1/customers/{customer}"), &described).await;
        app.settled().await;
        let parked = app.stripe_newest("/v1/events?type=customer.updated").await;
        app.park(&[&parked]).await;
        let holds = async |text: &str| app.database.traces(app.tollgate.db(), text).await;
        assert!(holds("ada@example.com").await.contains(&"app_user.email".to_owned()));
        assert!(holds("Ada Lovelace").await.contains(&"customer.name".to_owned()));
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        app.settled().await;
        prune(&app.tollgate).await.unwrap();
        for text in ["ada@example.com", "Ada Lovelace"] {
            assert_eq!(holds(text).await, Vec::<String>::new(), "{text}");
        }
        assert_eq!(app.event_state(&parked).await, Some(EventState::Ignored), "no operator can apply it any more");
        let devices = app.database.texts(app.tollgate.db(), "SELECT device_hash FROM known_device").await;
        assert!(devices.is_empty(), "no browser is remembered: {devices:?}");
        let counted = app.database.texts(app.tollgate.db(), "SELECT throttle_key FROM login_throttle").await;
        assert!(counted.len() <= 1, "only this client's, over all addresses: {counted:?}");
        let in_stripe = &app.stripe_lists("/v1/customers").await[0];
        for field in ["email", "name", "phone"] {
            assert!(in_stripe[field].is_null(), "{field}: {in_stripe}");
        }
        let id = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        let mut tx = app.tollgate.db().begin().await.unwrap();
        let event = billing::EventId::new(&id);
        assert!(!inbox::replay(&mut tx, &event, app.tollgate.now()).await.unwrap(), "there is nothing left to apply");
    }

    async fn an_account_is_closed_even_if_the_browser_does_not_wait(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let (held, closing) = closing(&app, &browser).await;
        closing.abort();
        assert!(closing.await.is_err(), "the browser has gone");
        held.open();
        app.until(async || !browser.opens("/dashboard").await).await;
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 0);
    }

    async fn a_stripe_outage_stops_closing_and_nothing_is_deleted(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.fail_next(100, 503);
        let page = browser.post("/account/close", &RIGHT).await;
        app.sandbox.fail_next(0, 503);
        assert_eq!(page.status, 503);
        assert_eq!(page.banner().tone, "danger");
        assert!(browser.opens("/dashboard/analytics").await, "nothing has changed");
        assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "trialing");
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303, "it works once Stripe responds");
    }

    async fn a_wrong_password_closes_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for _ in 0..10 {
            let page = browser.post("/account/close", &[("password", "a guess")]).await;
            assert_eq!(page.status, 401);
            assert!(page.body.contains("id=\"password-error\""), "the error is at its field: {}", page.body);
        }
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 429, "guesses are limited as for logins");
        assert!(browser.opens("/dashboard").await);
    }

    async fn an_open_checkout_expires_with_the_account(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let plan = app.open_checkout(&browser, "PRO").await;
        let pack = browser.post("/api/billing/checkout", &[("product", "ai-500")]).await.location();
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        for checkout in [plan, pack] {
            assert_eq!(pay(&checkout, PAYS).await.status, 410, "nothing can be bought for a closed account");
        }
    }

    async fn a_checkout_that_was_just_paid_does_not_keep_another_open(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let browser = app.signed_up("ada@example.com").await;
        let plan = app.open_checkout(&browser, "PRO").await;
        let pack = browser.post("/api/billing/checkout", &[("product", "ai-500")]).await.location();
        assert_eq!(pay(&plan, PAYS).await.status, 303);
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 0);
        assert_eq!(pay(&pack, PAYS).await.status, 410, "nothing can be bought for a closed account");
    }

    async fn an_account_that_stays_open_keeps_its_address_in_stripe(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let (held, closing) = closing(&app, &browser).await;
        let checkout = browser.post("/api/billing/checkout", &[("product", "ai-500")]).await;
        assert_eq!(checkout.status, 303, "{}", checkout.body);
        held.open();
        assert_eq!(closing.await.unwrap().status, 409, "a purchase was started meanwhile");
        assert!(browser.opens("/dashboard").await);
        assert_eq!(app.stripe_lists("/v1/customers").await[0]["email"], "ada@example.com");
    }

    async fn an_address_that_stripe_did_not_erase_is_erased_by_reconciling(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        app.sandbox.limit_faults_to("/v1/customers/");
        app.sandbox.fail_next(4, 503);
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        assert_eq!(app.stripe_lists("/v1/customers").await[0]["email"], "ada@example.com");
        reconcile(&app.tollgate, Mode::DryRun, 30).await.unwrap();
        assert_eq!(app.stripe_lists("/v1/customers").await[0]["email"], "ada@example.com", "a dry run changes nothing");
        reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
        assert!(app.stripe_lists("/v1/customers").await[0]["email"].is_null());
        let erased = app.stripe_calls("POST", &format!("/v1/customers/{}", app.stripe_newest("/v1/customers").await));
        reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
        let again = app.stripe_calls("POST", &format!("/v1/customers/{}", app.stripe_newest("/v1/customers").await));
        assert_eq!(again, erased, "once is enough");
    }

    async fn the_address_can_be_used_again_but_not_the_trial(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        let again = app.signed_up("ada@example.com").await;
        assert!(!again.opens("/dashboard/analytics").await);
        app.subscribe(&again, "PRO", PAYS).await;
        app.settled().await;
        assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "active", "no second trial");
    }

    async fn a_subscription_that_a_closed_account_still_has_is_found_and_ended(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let mut tx = app.tollgate.db().begin().await.unwrap();
        accounts::close(&mut tx, &account, app.tollgate.now()).await.unwrap();
        tx.commit().await.unwrap();

        let is_billed = |drift: &Drift| matches!(drift, Drift::DeletedButBilled { .. });
        let dry = reconcile(&app.tollgate, Mode::DryRun, 30).await.unwrap();
        assert!(dry.iter().any(|finding| is_billed(&finding.drift) && !finding.is_fixed), "{dry:?}");
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 1, "a dry run changes nothing");
        let repaired = reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
        assert!(repaired.iter().any(|finding| is_billed(&finding.drift) && finding.is_fixed), "{repaired:?}");
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 0);
        app.settled().await;
        assert_eq!(reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap(), []);
    }

    async fn closing_bills_what_was_used_beyond_the_limit(database) {
        let (app, browser) = with_overage(database).await;
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        assert_eq!(billed_for_usage(&app).await, [5 * 7]);
        assert_eq!(app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"], "canceled");
        // Nothing more is billed later.
        app.sandbox.advance(Duration::from_secs(40 * 86_400));
        app.settled().await;
        assert_eq!(billed_for_usage(&app).await, [5 * 7]);
    }

    async fn a_lost_response_to_a_cancellation_stops_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.limit_faults_to(&format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await));
        app.sandbox.drop_next_responses(1);
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        assert_eq!(app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"], "canceled");
    }

    async fn usage_that_stripe_rejects_does_not_stop_closing(database) {
        let (app, browser) = with_overage(database).await;
        // It may have been sent before, and this key is not allowed to read what Stripe has counted.
        app.database.run("UPDATE meter_event SET hour = hour - 90000").await;
        app.sandbox.limit_faults_to("/v1/billing/meters/");
        app.sandbox.fail_next(u32::MAX, 403);
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303);
        assert_eq!(app.stripe_lists("/v1/subscriptions?status=all").await[0]["status"], "canceled");
    }

    async fn usage_that_cannot_be_reported_stops_closing(database) {
        let (app, browser) = with_overage(database).await;
        app.sandbox.limit_faults_to("/v1/billing/meter_events");
        app.sandbox.fail_next(4, 503);
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 503);
        assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "active");
        assert_eq!(browser.post("/account/close", &RIGHT).await.status, 303, "it works once Stripe answers");
        assert_eq!(billed_for_usage(&app).await, [5 * 7]);
    }

    async fn ending_what_a_closed_account_still_has_bills_its_usage(database) {
        let (app, _) = with_overage(database).await;
        let account = app.account("ada@example.com").await;
        let mut tx = app.tollgate.db().begin().await.unwrap();
        accounts::close(&mut tx, &account, app.tollgate.now()).await.unwrap();
        tx.commit().await.unwrap();
        app.sandbox.limit_faults_to("/v1/billing/meter_events");
        app.sandbox.fail_next(4, 503);
        let compared = reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
        let is_left = |drift: &Drift| matches!(drift, Drift::NotCompared { .. });
        assert!(compared.iter().any(|finding| is_left(&finding.drift)), "the rest is compared: {compared:?}");
        assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "active");
        reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
        assert_eq!(billed_for_usage(&app).await, [5 * 7]);
    }
}

/// Begins to close the account, up to the end of its subscription in Stripe.
async fn closing(app: &Harness, browser: &Browser) -> (HeldCalls, JoinHandle<Page>) {
    let held = app.sandbox.hold_calls("DELETE", "/v1/subscriptions/");
    let browser = browser.clone();
    let closing = tokio::spawn(async move { browser.post("/account/close", &RIGHT).await });
    held.arrived().await;
    (held, closing)
}

/// An account that has used five units beyond its limit, at 7 cents each, a moment ago.
async fn with_overage(database: DatabaseKind) -> (Harness, Browser) {
    let app = Harness::start_metered(database, CENTS_PER_CALL).await;
    let browser = app.paying("ada@example.com").await;
    let account = app.account("ada@example.com").await;
    let event = UsageEvent::new(API_CALLS, 10_005, "all of it");
    assert!(matches!(metering::record(&app.tollgate, &account, event).await.unwrap(), Recorded::Counted(_)));
    (app, browser)
}

/// The totals of the invoices that end a subscription.
async fn billed_for_usage(app: &Harness) -> Vec<i64> {
    let invoices = app.stripe_lists("/v1/invoices?limit=100").await;
    let last = invoices.iter().filter(|invoice| invoice["billing_reason"] == "manual");
    last.map(|invoice| invoice["total"].as_i64().unwrap()).collect()
}
