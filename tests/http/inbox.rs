//! What becomes of events when the database, Stripe or we ourselves are not there.

use std::time::Duration;

use billing::EventId;
use serde_json::json;
use server::config::Config;
use server::store::inbox::{self, EventState, Filter, Listed, NewEvent};
use server::store::{After, subscriptions};
use server::webhook::worker;

use crate::support::{Harness, PAYS, deliver, event, on_both_databases, pay};

on_both_databases! {
    async fn a_write_that_fails_half_way_leaves_nothing_of_it(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.database.refuse("UPDATE", "NEW.state = 'done'").await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.until(async || pending(&app).await.iter().any(|event| event.attempts > 0 && event.last_error.is_some())).await;

        assert!(!browser.opens("/dashboard/analytics").await, "half of it is there");
        let account = app.account("ada@example.com").await;
        assert!(subscriptions::of_account(app.tollgate.db(), &account).await.unwrap().is_empty());
        assert!(subscriptions::as_of(app.tollgate.db(), &account, app.tollgate.now()).await.unwrap().is_empty());

        app.database.accept().await;
        work_again(&app).await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert!(pending(&app).await.is_empty());
    }

    async fn an_inbox_that_cannot_be_written_to_says_500_and_hears_it_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.settled().await;
        let before = inbox::count(app.tollgate.db()).await.unwrap();
        app.database.refuse("INSERT", "NEW.state <> ''").await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        let refused = || app.sandbox.deliveries().iter().any(|delivery| delivery.tries.contains(&Some(500)));
        app.until(async || refused()).await;
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), before);
        assert!(!browser.opens("/dashboard/analytics").await);

        app.database.accept().await;
        work_again(&app).await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_database_that_goes_away_under_load_loses_nothing_that_was_answered(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let url = app.url.clone();
        let said = |number: usize| deliver(url.clone(), updated(&format!("evt_{number}"), "sub_of_nobody"));
        let mut deliveries: Vec<_> = (0..32).map(|number| tokio::spawn(said(number))).collect();
        let outage = app.database.take_away().await;
        deliveries.extend((32..64).map(|number| tokio::spawn(said(number))));
        let mut answers = Vec::new();
        for delivery in deliveries {
            answers.push(delivery.await.unwrap());
        }
        outage.end().await;
        assert!(answers.iter().all(|status| [200, 500].contains(status)), "{answers:?}");
        assert!(answers[32..].iter().all(|status| *status == 500), "it was away: {answers:?}");
        for (number, status) in answers.into_iter().enumerate() {
            let is_there = app.event_state(&format!("evt_{number}")).await.is_some();
            assert!(is_there || status == 500, "evt_{number} was answered 200 and is lost");
            if status == 500 {
                assert_eq!(said(number).await, 200, "it is back");
            }
        }
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 64);
    }

    async fn whatever_stripe_does_events_wait_and_then_apply(database) {
        let quick = |config: &mut Config| config.stripe.patience = Duration::from_millis(150);
        let app = Harness::start_configured(database, |_| {}, quick).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let mut ends = false;
        for fault in ["is down", "has had enough", "is lying", "hangs up", "is slow"] {
            app.sandbox.hold_deliveries(true);
            ends = !ends;
            let fields = [("cancel_at_period_end", if ends { "true" } else { "false" })];
            app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &fields).await;
            match fault {
                "is down" => app.sandbox.fail_next(u32::MAX, 500),
                "has had enough" => app.sandbox.fail_next(u32::MAX, 429),
                "is lying" => app.sandbox.garble_next_answers(u32::MAX),
                "hangs up" => app.sandbox.lose_next_answers(u32::MAX),
                _ => app.sandbox.delay_calls(Duration::from_secs(1)),
            }
            app.sandbox.hold_deliveries(false);
            app.until(async || pending(&app).await.iter().any(|event| event.last_error.is_some())).await;
            let said = browser.get("/billing").await.body.contains("Pro is cancelled.");
            assert_eq!(said, !ends, "Stripe {fault}, and what it has not said is shown");

            app.sandbox.fail_next(0, 500);
            app.sandbox.garble_next_answers(0);
            app.sandbox.lose_next_answers(0);
            app.sandbox.delay_calls(Duration::ZERO);
            work_again(&app).await;
            let said = browser.get("/billing").await.body.contains("Pro is cancelled.");
            assert_eq!(said, ends, "Stripe {fault}, and later it was not heard");
        }
    }

    async fn one_that_never_answers_sensibly_is_left_to_a_person(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.settled().await;
        app.sandbox.hold_deliveries(true);
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.sandbox.garble_next_answers(u32::MAX);
        app.sandbox.hold_deliveries(false);
        app.until(async || {
            app.sandbox.advance(Duration::from_secs(60));
            !listed(&app, EventState::Parked).await.is_empty() && pending(&app).await.is_empty()
        })
        .await;
        let parked = listed(&app, EventState::Parked).await;
        assert!(parked.iter().all(|event| event.last_error.is_some()), "nobody can tell why: {parked:?}");
        assert!(!browser.opens("/dashboard/analytics").await);

        app.sandbox.garble_next_answers(0);
        for event in parked {
            let mut tx = app.tollgate.db().begin().await.unwrap();
            assert!(inbox::replay(&mut tx, &EventId::new(event.event_id), app.tollgate.now()).await.unwrap());
            tx.commit().await.unwrap();
        }
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    /// Whoever takes it up is killed by it, say: no error is ever written down.
    async fn an_event_that_nobody_survives_does_not_go_round_for_ever(database) {
        let app = Harness::start(database).await;
        app.stop().await;
        write_down(&app, "evt_fatal").await;
        for _ in 0..worker::MOST_TRIES {
            let (db, now) = (app.tollgate.db(), app.tollgate.now());
            assert_eq!(inbox::claim(db, "dies", now, now.plus_seconds(60), 10).await.unwrap().len(), 1);
            app.sandbox.advance(Duration::from_secs(60));
        }
        write_down(&app, "evt_other").await;
        worker::work_off(&app.tollgate).await;
        let parked = listed(&app, EventState::Parked).await;
        assert_eq!(parked.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), ["evt_fatal"]);
        assert!(parked[0].last_error.as_deref().unwrap().contains("did not come to an end"));
        assert_eq!(app.event_state("evt_other").await, Some(EventState::Ignored), "the others are applied");
    }

    /// Its node was away for so long that another has taken the events over.
    async fn whoever_is_too_slow_writes_nothing(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        let all = app.sandbox.pending_deliveries();
        let created = all.iter().find(|delivery| delivery.kind == "customer.subscription.created").unwrap();
        app.sandbox.delay_calls(Duration::from_millis(700));
        assert!(app.sandbox.deliver(&created.id));
        // It is asking Stripe, and a minute passes without a renewal.
        app.until(async || pending(&app).await.iter().any(|event| event.attempts > 0)).await;
        let (db, later) = (app.tollgate.db(), app.tollgate.now().plus_seconds(61));
        let taken = inbox::claim(db, "another node", later, later.plus_seconds(600), 100).await.unwrap();
        assert_eq!(taken.len(), 1);
        app.stop().await;

        let account = app.account("ada@example.com").await;
        assert!(subscriptions::of_account(db, &account).await.unwrap().is_empty(), "it was another's to write");
        assert_eq!(app.event_state(&taken[0].event_id).await, Some(EventState::Pending));
        app.sandbox.delay_calls(Duration::ZERO);
        app.sandbox.advance(Duration::from_secs(700));
        worker::work_off(&app.tollgate).await;
        assert!(!subscriptions::of_account(db, &account).await.unwrap().is_empty());
    }

    async fn whoever_stops_finishes_what_is_begun_and_lets_go_of_the_rest(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        app.sandbox.delay_calls(Duration::from_millis(300));
        for number in 0..40 {
            let body = updated(&format!("evt_{number}"), &format!("sub_{number}"));
            assert_eq!(deliver(app.url.clone(), body).await, 200);
        }
        let asks = || app.sandbox.requests().iter().any(|request| request.path.starts_with("/v1/subscriptions/sub_"));
        app.until(async || asks()).await;
        app.stop().await;

        let asked = app.sandbox.requests().iter().filter(|request| request.path.starts_with("/v1/subscriptions/sub_")).count();
        let left = pending(&app).await;
        assert!(!left.is_empty(), "it took its time and finished all of it");
        assert_eq!(asked + left.len(), 40, "what was begun was not finished");
        let (db, now) = (app.tollgate.db(), app.tollgate.now());
        let claimed = inbox::claim(db, "the next", now, now.plus_seconds(60), 100).await.unwrap();
        assert_eq!(claimed.len(), left.len(), "it holds what it does not work on");
        assert!(claimed.iter().all(|event| event.attempts == 1), "what was not begun counts as a try");
    }
}

/// An event about a subscription that Stripe does not know.
fn updated(id: &str, subscription: &str) -> String {
    event(
        id,
        "customer.subscription.updated",
        &json!({ "id": subscription, "object": "subscription", "customer": "cus_1" }),
    )
}

/// Writes an event about a subscription of nobody down as the webhook does.
async fn write_down(app: &Harness, id: &str) {
    let (payload, event) = (updated(id, "sub_of_nobody"), EventId::new(id));
    let new = NewEvent {
        id: &event,
        kind: "customer.subscription.updated",
        api_version: None,
        created: app.tollgate.now(),
        subject: Some(id),
        customer: Some("cus_1"),
        payload: &payload,
        state: EventState::Pending,
    };
    let mut tx = app.tollgate.db().begin().await.unwrap();
    assert!(inbox::insert(&mut tx, &new, app.tollgate.now()).await.unwrap());
    tx.commit().await.unwrap();
}

/// Comes back later, when what failed is due again.
async fn work_again(app: &Harness) {
    app.sandbox.advance(Duration::from_secs(300));
    app.settled().await;
}

async fn pending(app: &Harness) -> Vec<Listed> {
    listed(app, EventState::Pending).await
}

async fn listed(app: &Harness, state: EventState) -> Vec<Listed> {
    let filter = Filter { state: Some(state), about: None };
    inbox::list(app.tollgate.db(), &filter, &After::start(), 1000).await.unwrap()
}
