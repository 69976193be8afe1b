//! Events survive failures of the database, of Stripe and of our own process.

use std::collections::BTreeSet;
use std::time::Duration;

use billing::SubscriptionId;
use engine::inbox::intake::new_event;
use engine::store::Cursor;
use engine::store::inbox::{self, EventFilter, EventState, EventSummary};
use engine::store::{accounts, subscriptions};
use engine::stripe::objects;
use engine::stripe_account;
use engine::tasks::apply::{MAX_ATTEMPTS, MAX_MISSING};
use serde_json::{Value, json};
use server::Tollgate;

use crate::support::{Browser, Harness, PAYS, deliver, event, on_both_databases, pay};

/// Longer than a test takes on any machine.
const LONG: Duration = Duration::from_secs(600);

on_both_databases! {
    async fn a_write_that_fails_halfway_leaves_nothing_behind(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.database.reject("UPDATE", "NEW.state = 'done'").await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.until(async || pending(&app).await.iter().any(|event| event.attempts > 0 && event.last_error.is_some())).await;

        assert!(!browser.opens("/dashboard/analytics").await, "half of the write is visible");
        let account = app.account("ada@example.com").await;
        assert!(subscriptions::of_account(app.tollgate.db(), &account).await.unwrap().is_empty());
        assert!(subscriptions::as_of(app.tollgate.db(), &account, app.tollgate.now()).await.unwrap().is_empty());

        app.database.accept().await;
        retry(&app).await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert!(pending(&app).await.is_empty());
    }

    async fn writers_for_one_account_wait_for_each_other_and_never_deadlock(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        app.settled().await;
        let (db, account) = (app.tollgate.db(), app.account("ada@example.com").await);
        let id = app.stripe_newest("/v1/subscriptions").await;
        let seen = subscriptions::by_id(db, &SubscriptionId::new(id.as_str())).await.unwrap().unwrap();

        // A worker on another node that has written one of the account's subscriptions, and then writes this one.
        let mut other = db.begin().await.unwrap();
        assert!(accounts::lock(&mut other, &account).await.unwrap());
        cancel(&app, &id, true).await;
        app.database.until_waiting(db).await;
        let at = app.tollgate.now();
        assert!(subscriptions::write(&mut other, &account, &seen.object, Some(&seen), "test", at).await.unwrap());
        other.commit().await.unwrap();

        app.settled().await;
        assert!(is_ending(&browser).await);
    }

    async fn an_event_that_cannot_be_stored_returns_500_and_is_delivered_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.settled().await;
        let before = stored(&app).await;
        app.database.reject("INSERT", "NEW.state <> ''").await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        let was_rejected = || app.sandbox.deliveries().iter().any(|delivery| delivery.attempts.contains(&Some(500)));
        app.until(async || was_rejected()).await;
        assert_eq!(stored(&app).await, before);
        assert!(!browser.opens("/dashboard/analytics").await);

        app.database.accept().await;
        retry(&app).await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_database_outage_under_load_loses_no_event_that_returned_200(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let url = app.url.clone();
        let deliver = |number: usize| deliver(url.clone(), updated(&format!("evt_{number}"), "sub_unknown"));
        let mut deliveries: Vec<_> = (0..32).map(|number| tokio::spawn(deliver(number))).collect();
        let outage = app.database.take_away().await;
        deliveries.extend((32..64).map(|number| tokio::spawn(deliver(number))));
        let mut statuses = Vec::new();
        for delivery in deliveries {
            statuses.push(delivery.await.unwrap());
        }
        outage.end().await;
        assert!(statuses.iter().all(|status| [200, 500].contains(status)), "{statuses:?}");
        assert!(statuses[32..].iter().all(|status| *status == 500), "the database was down: {statuses:?}");
        for (number, status) in statuses.into_iter().enumerate() {
            let is_stored = app.event_state(&format!("evt_{number}")).await.is_some();
            assert!(is_stored || status == 500, "evt_{number} returned 200 and is lost");
            if status == 500 {
                assert_eq!(deliver(number).await, 200, "the database is back");
            }
        }
        assert_eq!(stored(&app).await, 64);
    }

    async fn events_wait_and_then_apply_whatever_stripe_responds(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let mut is_canceled = false;
        for fault in ["is down", "limits the rate", "answers with garbage", "hangs up"] {
            app.sandbox.hold_deliveries(true);
            is_canceled = !is_canceled;
            cancel(&app, &subscription, is_canceled).await;
            match fault {
                "is down" => app.sandbox.fail_next(u32::MAX, 500),
                "limits the rate" => app.sandbox.fail_next(u32::MAX, 429),
                "answers with garbage" => app.sandbox.corrupt_next_responses(u32::MAX),
                _ => app.sandbox.drop_next_responses(u32::MAX),
            }
            app.sandbox.hold_deliveries(false);
            app.until(async || pending(&app).await.iter().any(|event| event.last_error.is_some())).await;
            assert_eq!(is_ending(&browser).await, !is_canceled, "Stripe {fault}, but its response is applied");

            app.sandbox.fail_next(0, 500);
            app.sandbox.corrupt_next_responses(0);
            app.sandbox.drop_next_responses(0);
            retry(&app).await;
            assert_eq!(is_ending(&browser).await, is_canceled, "Stripe {fault}, and the event was never applied");
        }
    }

    async fn an_event_waits_while_stripe_does_not_respond_and_applies_when_it_does(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let account = app.account("ada@example.com").await;
        // No worker runs except this test's.
        app.stop().await;
        store(&app.tollgate, signed_event(&app, "customer.subscription.created")).await;
        // The call is held, so any timeout expires, and a short one ends the test soon.
        let held = app.sandbox.hold_calls("GET", "/v1/subscriptions/");
        let impatient = with_timeout(&app, Duration::from_millis(50));
        app.until(async || stripe_account::verify(&impatient).await.is_ok()).await;
        impatient.drain().await;
        let waiting = pending(&app).await;
        assert_eq!(waiting.len(), 1);
        assert!(waiting[0].last_error.as_deref().unwrap().contains("unavailable"), "{waiting:?}");
        assert!(subscriptions::of_account(app.tollgate.db(), &account).await.unwrap().is_empty());

        held.open();
        app.sandbox.advance(LONG);
        with_timeout(&app, LONG).drain().await;
        assert!(pending(&app).await.is_empty());
        assert_eq!(subscriptions::of_account(app.tollgate.db(), &account).await.unwrap().len(), 1);
    }

    async fn an_event_whose_object_can_never_be_read_is_parked_for_an_operator(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.settled().await;
        app.sandbox.hold_deliveries(true);
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.sandbox.strip_object(Some(&app.stripe_newest("/v1/subscriptions").await));
        app.sandbox.hold_deliveries(false);
        app.until(async || {
            app.wake_worker_after(Duration::from_secs(60)).await;
            !listed(&app, EventState::Parked).await.is_empty() && pending(&app).await.is_empty()
        })
        .await;
        let parked = listed(&app, EventState::Parked).await;
        assert!(parked.iter().all(|event| event.last_error.is_some()), "the reason is missing: {parked:?}");
        assert!(!browser.opens("/dashboard/analytics").await);

        app.sandbox.strip_object(None);
        let mut tx = app.tollgate.db().begin().await.unwrap();
        for event in parked {
            assert!(inbox::replay(&mut tx, &event.id, app.tollgate.now()).await.unwrap());
        }
        tx.commit().await.unwrap();
        app.tollgate.wake_worker().notify_one();
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    /// Every process that applies it crashes, so no error is ever recorded.
    async fn an_event_that_kills_every_process_is_parked(database) {
        let app = Harness::start(database).await;
        app.stop().await;
        store(&app.tollgate, updated("evt_fatal", "sub_fatal")).await;
        for _ in 0..MAX_ATTEMPTS {
            let (db, now) = (app.tollgate.db(), app.tollgate.now());
            assert_eq!(inbox::claim(db, "dies", now, now.plus_seconds(60), 10).await.unwrap().len(), 1);
            app.sandbox.advance(Duration::from_secs(60));
        }
        store(&app.tollgate, updated("evt_other", "sub_other")).await;
        for _ in 0..MAX_MISSING {
            app.sandbox.advance(Duration::from_secs(60));
            app.tollgate.drain().await;
        }
        let parked = listed(&app, EventState::Parked).await;
        assert_eq!(parked.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_fatal"]);
        assert!(parked[0].last_error.as_deref().unwrap().contains("did not finish"), "{parked:?}");
        assert_eq!(app.event_state("evt_other").await, Some(EventState::Ignored), "the others are applied");
    }

    /// Its node was paused for so long that another node has claimed the event.
    async fn a_worker_that_lost_its_lease_writes_nothing(database) {
        let prepare = |sandbox: &sandbox::Sandbox| sandbox.hold_deliveries(true);
        let app = Harness::start_configured(database, prepare, |config| config.stripe.timeout = LONG).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let all = app.sandbox.pending_deliveries();
        let created = all.iter().find(|delivery| delivery.kind == "customer.subscription.created").unwrap();
        let held = app.sandbox.hold_calls("GET", "/v1/subscriptions/");
        assert!(app.sandbox.deliver(&created.id));
        held.arrived().await;
        // The worker waits for Stripe, and an hour passes in which it renews nothing: longer than this test
        // takes on any machine.
        let (db, later) = (app.tollgate.db(), app.tollgate.now().plus_seconds(3600));
        let claimed = inbox::claim(db, "another node", later, later.plus_seconds(600), 100).await.unwrap();
        assert_eq!(claimed.len(), 1);
        tokio::join!(biased; app.stop(), async { held.open() });

        let account = app.account("ada@example.com").await;
        assert!(subscriptions::of_account(db, &account).await.unwrap().is_empty(), "another node holds the event");
        assert_eq!(app.event_state(&claimed[0].event_id).await, Some(EventState::Pending));
        app.sandbox.advance(Duration::from_secs(3600 + 700));
        app.tollgate.drain().await;
        assert_eq!(subscriptions::of_account(db, &account).await.unwrap().len(), 1);
    }

    async fn a_worker_that_stops_completes_started_events_and_leaves_the_rest_to_others(database) {
        const EVENTS: usize = 40;
        let prepare = |sandbox: &sandbox::Sandbox| sandbox.hold_deliveries(true);
        let app = Harness::start_configured(database, prepare, |config| config.stripe.timeout = LONG).await;
        let held = app.sandbox.hold_calls("GET", "/v1/subscriptions/sub_");
        for number in 0..EVENTS {
            let body = updated(&format!("evt_{number}"), &format!("sub_{number}"));
            assert_eq!(deliver(app.url.clone(), body).await, 200);
        }
        held.arrived().await;
        // The worker gets the stop signal before the calls continue.
        tokio::join!(biased; app.stop(), async { held.open() });

        let asked = subscriptions_asked_for(&app);
        let mut left = pending(&app).await;
        left.retain(|event| event.attempts == 0);
        assert!(!left.is_empty(), "it started more after the stop signal");
        assert_eq!(asked.len() + left.len(), EVENTS, "it did not complete the events it had started");
        let (db, now) = (app.tollgate.db(), app.tollgate.now());
        let claimed = inbox::claim(db, "the next", now, now.plus_seconds(60), 100).await.unwrap();
        let started_first = claimed.iter().filter(|event| event.attempts == 1).count();
        assert_eq!(started_first, left.len(), "it still holds events that it does not work on");
    }
}

/// An event about a subscription that Stripe does not have.
fn updated(id: &str, subscription: &str) -> String {
    let object = json!({ "id": subscription, "object": "subscription", "customer": "cus_1" });
    event(id, "customer.subscription.updated", &object)
}

/// The body of Stripe's newest event of this type.
fn signed_event(app: &Harness, kind: &str) -> String {
    let all = app.sandbox.pending_deliveries();
    let delivery = all.iter().rev().find(|delivery| delivery.kind == kind).unwrap();
    let endpoint = app.tollgate.urls().webhook.as_str();
    app.sandbox.signed(&delivery.event, endpoint).unwrap().0
}

/// Stores an event as the webhook does, without waking a worker.
async fn store(tollgate: &Tollgate, body: String) {
    let value: Value = serde_json::from_str(&body).unwrap();
    let new = new_event(objects::event(&value).unwrap(), body, tollgate.now());
    assert!(tollgate.intake().store(new).await.unwrap());
}

/// A node with this timeout for Stripe, and without background tasks.
fn with_timeout(app: &Harness, timeout: Duration) -> Tollgate {
    app.idle_node(|config| config.stripe.timeout = timeout, app.tollgate.clock())
}

/// Sets whether a subscription is canceled at the end of its period.
async fn cancel(app: &Harness, subscription: &str, is_canceled: bool) {
    let fields = [("cancel_at_period_end", if is_canceled { "true" } else { "false" })];
    app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &fields).await;
}

/// Whether the customer sees that the plan ends.
async fn is_ending(browser: &Browser) -> bool {
    let entitlements = browser.get("/api/v1/entitlements").await.json();
    entitlements["reason"]["rule"] == "EndsLater"
}

fn subscriptions_asked_for(app: &Harness) -> BTreeSet<String> {
    let requests = app.sandbox.requests().into_iter().map(|request| request.path);
    requests.filter(|path| path.starts_with("/v1/subscriptions/sub_")).collect()
}

/// Advances the clock until every failed event is due again, and waits until it has succeeded.
async fn retry(app: &Harness) {
    app.wake_worker_after(Duration::from_secs(300)).await;
    app.settled().await;
}

/// The number of stored events.
async fn stored(app: &Harness) -> i64 {
    let counts = inbox::count_by_state(app.tollgate.db()).await.unwrap();
    counts.iter().map(|count| count.events).sum()
}

async fn pending(app: &Harness) -> Vec<EventSummary> {
    listed(app, EventState::Pending).await
}

async fn listed(app: &Harness, state: EventState) -> Vec<EventSummary> {
    let filter = EventFilter { state: Some(state), about: None };
    inbox::list(app.tollgate.db(), &filter, &Cursor::start(), 1000).await.unwrap()
}
