//! When Stripe is down, rejects the key, or fails a request, nothing is lost and no operator has to act.

use std::time::Duration;

use billing::EventId;
use engine::doctor::Health;
use engine::reconcile::{DriftKind, Mode, reconcile, reconcile_if_due};
use engine::store::Cursor;
use engine::store::inbox::{self, EventFilter, EventState, EventSummary};
use engine::tasks::apply::{MAX_ATTEMPTS, MAX_MISSING};
use server::admin::OperatorPermit;
use server::admin::doctor::check;

use crate::support::{Browser, Harness, PAYS, on_both_databases, pay};

const SESSIONS: &str = "/v1/checkout/sessions";
const CONFIGURATIONS: &str = "/v1/billing_portal/configurations";
/// A failed request is sent once instead of four times, so that an hour of failures takes a second.
const ONCE: (&str, &str) = ("should_retry", "false");

on_both_databases! {
    async fn purchases_are_applied_by_themselves_after_an_outage_of_any_length(database) {
        let app = Harness::start(database).await;
        bought_unnoticed(&app).await;
        for round in 0..=MAX_ATTEMPTS {
            // Stripe is down, or the key was revoked, or it is missing a right.
            let status = ["503", "401", "403"][usize::try_from(round % 3).unwrap()];
            fail(&app, &[("fail_next", "1000000"), ("status", status), ONCE]);
            wake(&app, 10 * 60).await;
            app.until(async || attempts(&app).await > round).await;
        }
        let [waiting] = &events(&app).await[..] else { panic!("one event was delivered") };
        assert_eq!(waiting.state, EventState::Pending, "{waiting:?}");
        assert_eq!(app.credits("ada@example.com").await, 0);

        fail(&app, &[("fail_next", "0")]);
        wake(&app, 10 * 60).await;
        app.applied().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn an_outage_is_visible_until_stripe_responds(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
        let stripe = async || app.browser().get("/readyz").await.json()["stripe"]["state"].as_str().unwrap().to_owned();
        assert_eq!(stripe().await, "ok");
        bought_unnoticed(&app).await;
        fail(&app, &[("fail_next", "1000000"), ("status", "503"), ONCE]);
        wake(&app, 60).await;
        app.until(async || attempts(&app).await > 0).await;

        let ready = app.browser().get("/readyz").await;
        assert_eq!((ready.status, stripe().await.as_str()), (200, "unavailable"), "everything else is served");
        let banner = operator.get("/admin").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("status 503"), "{banner:?}");
        fail(&app, &[("fail_next", "0")]);
        let checks = check(&app.tollgate, &OperatorPermit::for_cli()).await;
        let found = checks.iter().find(|check| check.subject == "events").unwrap();
        assert!(found.health == Health::Warning && found.message.contains("status 503"), "{found:?}");

        wake(&app, 10 * 60).await;
        app.applied().await;
        assert_eq!(stripe().await, "ok");
        assert!(operator.get("/admin").await.banners().is_empty());
    }

    async fn a_conflict_with_another_request_delays_only_its_own_event(database) {
        let app = Harness::start(database).await;
        bought_unnoticed(&app).await;
        fail(&app, &[("fail_next", "1000000"), ("status", "409"), ("path", SESSIONS), ONCE]);
        let conflicts = async || events(&app).await[0].last_error.as_deref().is_some_and(|error| error.contains("409") || error.contains("busy"));
        app.until(async || {
            wake(&app, 60).await;
            conflicts().await
        })
        .await;
        app.until(async || app.browser().get("/readyz").await.json()["stripe"]["state"] == "ok").await;

        app.sandbox.control("POST faults/clear", &[]).unwrap();
        wake(&app, 10 * 60).await;
        app.applied().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn an_object_that_is_missing_for_a_moment_is_fetched_again(database) {
        let app = Harness::start(database).await;
        bought_unnoticed(&app).await;
        missing(&app, 1, SESSIONS);
        wake(&app, 1).await;
        app.until(async || events(&app).await[0].last_error.as_deref().is_some_and(|error| error.contains("cs_"))).await;
        wake(&app, 60).await;
        app.applied().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_purchase_whose_event_was_ignored_is_recovered_by_reconciling(database) {
        let app = Harness::start(database).await;
        bought_unnoticed(&app).await;
        missing(&app, u32::MAX, SESSIONS);
        app.until(async || {
            wake(&app, 60).await;
            events(&app).await[0].state == EventState::Ignored
        })
        .await;
        assert!(events(&app).await[0].attempts >= MAX_MISSING);
        missing(&app, 0, "");
        let kinds = async || {
            let findings = reconcile(&app.tollgate, Mode::Repair, 30).await.unwrap();
            findings.iter().map(|finding| (finding.drift.kind(), finding.is_fixed)).collect::<Vec<_>>()
        };
        assert!(kinds().await.contains(&(DriftKind::WrongPurchase, true)));
        assert_eq!(app.credits("ada@example.com").await, 500);
        assert!(!kinds().await.iter().any(|(kind, _)| *kind == DriftKind::WrongPurchase), "it is repaired");
    }

    async fn a_known_object_that_stripe_does_not_have_changes_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        missing(&app, u32::MAX, "/v1/subscriptions/");
        let event = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        replay(&app, &event).await;
        app.until(async || {
            wake(&app, 60).await;
            app.event_state(&event).await == Some(EventState::Parked)
        })
        .await;
        let parked = inbox::by_id(app.tollgate.db(), &EventId::new(&event)).await.unwrap().unwrap();
        assert!(parked.last_error.as_deref().unwrap().contains("STRIPE_SECRET_KEY"), "with the likely cause: {parked:?}");
        assert!(browser.opens("/dashboard/analytics").await, "a 404 is no cancellation");
    }

    async fn a_server_that_was_away_for_days_finds_what_was_bought(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        assert!(reconcile_if_due(&app.tollgate).await.unwrap());
        app.sandbox.hold_deliveries(true);
        app.buy(&browser, "ai-500", PAYS).await;
        lose_deliveries(&app);
        app.sandbox.advance(Duration::from_secs(10 * 86_400));
        assert!(reconcile_if_due(&app.tollgate).await.unwrap());
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_failure_that_stripe_keeps_under_its_key_holds_up_a_purchase_for_minutes(database) {
        for path in ["/v1/customers", SESSIONS] {
            let app = Harness::start(database).await;
            let browser = app.signed_up("ada@example.com").await;
            keep_failure(&app, path, "fail_next");
            let buy = async || browser.post("/api/billing/checkout", &[("product", "ai-500")]).await;
            assert_eq!(buy().await.status, 503, "{path}");
            assert_eq!(buy().await.status, 503, "Stripe repeats the failure");
            app.sandbox.advance(Duration::from_secs(4 * 60));
            let page = buy().await;
            assert_eq!(page.status, 303, "{path}: {}", page.body);
            assert_eq!(pay(&page.location(), PAYS).await.status, 303);
            app.settled().await;
            assert_eq!(app.credits("ada@example.com").await, 500);
        }
    }

    async fn an_object_whose_creation_was_reported_as_a_failure_is_found_and_used(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let buy = async || browser.post("/api/billing/checkout", &[("product", "ai-500")]).await;
        keep_failure(&app, "/v1/customers", "drop_next");
        assert_eq!(buy().await.status, 503);
        app.sandbox.advance(Duration::from_secs(4 * 60));
        keep_failure(&app, SESSIONS, "drop_next");
        assert_eq!(buy().await.status, 503);
        app.sandbox.advance(Duration::from_secs(4 * 60));
        let page = buy().await;
        assert_eq!(page.status, 303, "{}", page.body);
        assert_eq!(app.stripe_lists("/v1/customers").await.len(), 1);
        let sessions = app.stripe_lists(SESSIONS).await;
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0]["url"], page.location());
    }

    async fn a_failure_that_stripe_keeps_holds_up_closing_an_account_for_minutes(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        keep_failure(&app, SESSIONS, "drop_next");
        let page = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(page.status, 503);
        let close = async || browser.post("/account/close", &[("password", "correct horse")]).await.status;
        assert_eq!(close().await, 503);
        app.sandbox.advance(Duration::from_secs(4 * 60));
        let listed = app.stripe_calls("GET", SESSIONS);
        assert_eq!(close().await, 303);
        assert_eq!(app.stripe_calls("GET", SESSIONS), listed + 1, "Stripe's sessions are listed once");
        assert_eq!(app.stripe_lists(SESSIONS).await[0]["status"], "expired", "nothing more can be bought for it");
    }

    async fn a_failure_that_stripe_keeps_holds_up_the_portal_for_minutes(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let open = async |browser: &Browser| browser.post("/api/billing/portal", &[("flow", "")]).await.status;
        let held = app.sandbox.hold_calls("GET", CONFIGURATIONS);
        let opening = tokio::spawn({
            let browser = browser.clone();
            async move { open(&browser).await }
        });
        held.arrived().await;
        keep_failure(&app, CONFIGURATIONS, "fail_next");
        held.open();
        assert_eq!(opening.await.unwrap(), 503);
        assert_eq!(open(&browser).await, 503, "Stripe repeats the failure");
        app.sandbox.advance(Duration::from_secs(4 * 60));
        assert_eq!(open(&browser).await, 303);
        assert_eq!(app.stripe_lists(CONFIGURATIONS).await.len(), 1);
    }

    async fn stripe_decides_whether_and_when_a_request_is_retried(database) {
        let app = Harness::start(database).await;
        let prices = || app.stripe_calls("GET", "/v1/prices");
        let ping = async |faults: &[(&str, &str)]| {
            let before = prices();
            fail(&app, faults);
            let pinged = app.tollgate.gateway().ping().await;
            app.sandbox.control("POST faults/clear", &[]).unwrap();
            (pinged.is_ok(), prices() - before)
        };
        assert_eq!(ping(&[("fail_next", "1"), ("status", "503")]).await, (true, 2));
        assert_eq!(ping(&[("fail_next", "1"), ("status", "503"), ONCE]).await, (false, 1));
        assert_eq!(ping(&[("fail_next", "1"), ("status", "400"), ("should_retry", "true")]).await, (true, 2));
        let an_hour = [("fail_next", "1"), ("status", "429"), ("should_retry", "true"), ("retry_after", "3600")];
        assert_eq!(ping(&an_hour).await, (false, 1), "no request waits for an hour");
        let started = std::time::Instant::now();
        let a_second = [("fail_next", "1"), ("status", "429"), ("should_retry", "true"), ("retry_after", "1")];
        assert_eq!(ping(&a_second).await, (true, 2));
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    async fn requests_under_one_key_are_the_same_bytes(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        // Every node asks for the session before any has it.
        app.sandbox.fail_next(4, 503);
        app.sandbox.limit_faults_to(SESSIONS);
        let clicks: Vec<_> = (0..8)
            .map(|_| {
                let browser = browser.clone();
                let fields = [("plan", "PRO"), ("interval", "month")];
                tokio::spawn(async move { browser.post("/api/billing/subscribe", &fields).await.status })
            })
            .collect();
        for click in clicks {
            click.await.unwrap();
        }
        let requests = app.sandbox.requests().into_iter().filter(|call| call.method == "POST" && call.path == SESSIONS);
        let sent: Vec<_> = requests.map(|call| (call.idempotency_key, call.parameters)).collect();
        assert!(sent.len() > 4 && sent.iter().all(|request| *request == sent[0]), "{sent:#?}");
    }
}

/// Ada buys credits. Stripe is down, so that the only event that arrives, that of her Checkout, is not applied.
async fn bought_unnoticed(app: &Harness) {
    let browser = app.signed_up("ada@example.com").await;
    app.settled().await;
    app.sandbox.hold_deliveries(true);
    app.buy(&browser, "ai-500", PAYS).await;
    app.sandbox.fail_next(u32::MAX, 503);
    fail(app, &[ONCE]);
    let all = app.sandbox.pending_deliveries();
    let completed = all.iter().find(|delivery| delivery.kind == "checkout.session.completed").unwrap();
    assert!(app.sandbox.deliver(&completed.id));
    app.until(async || app.event_state(&completed.event).await.is_some()).await;
    lose_deliveries(app);
    app.until(async || events(app).await[0].last_error.is_some()).await;
    replay(app, &completed.event).await;
}

/// Makes an event due again, with all its attempts before it.
async fn replay(app: &Harness, event: &str) {
    let mut tx = app.tollgate.db().begin().await.unwrap();
    assert!(inbox::replay(&mut tx, &EventId::new(event), app.tollgate.now()).await.unwrap());
    tx.commit().await.unwrap();
}

fn lose_deliveries(app: &Harness) {
    for delivery in app.sandbox.pending_deliveries() {
        app.sandbox.drop_delivery(&delivery.id);
    }
    app.sandbox.hold_deliveries(false);
}

fn fail(app: &Harness, faults: &[(&str, &str)]) {
    app.sandbox.control("POST faults", faults).unwrap();
}

/// Makes calls about objects at this path return 404.
fn missing(app: &Harness, calls: u32, path: &str) {
    app.sandbox.limit_faults_to(path);
    app.sandbox.fail_next(calls, 404);
}

/// Makes the next call fail, and every other under its idempotency key.
fn keep_failure(app: &Harness, path: &str, fault: &str) {
    fail(app, &[("path", path), ("keep", "true"), ("status", "500"), (fault, "1")]);
}

async fn wake(app: &Harness, seconds: u64) {
    app.wake_worker_after(Duration::from_secs(seconds)).await;
}

async fn events(app: &Harness) -> Vec<EventSummary> {
    let filter = EventFilter { state: None, about: Some("checkout.session.completed".to_owned()) };
    inbox::list(app.tollgate.db(), &filter, &Cursor::start(), 10).await.unwrap()
}

/// The number of attempts; 0 while one is in progress, which would be rescheduled by a clock that has moved.
async fn attempts(app: &Harness) -> i64 {
    let attempts = events(app).await.first().map_or(0, |event| event.attempts);
    if app.is_idle().await { attempts } else { 0 }
}
