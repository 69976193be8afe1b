//! The Stripe account and mode that a database belongs to: keys and events of another are rejected.

use std::time::Duration;

use billing::CustomerId;
use engine::checkout::CheckoutError;
use engine::customer_link::LinkError;
use engine::doctor::Health;
use engine::portal::PortalFlow;
use engine::reconcile::{Mode, reconcile};
use engine::store::Cursor;
use engine::store::inbox::{self, EventFilter, EventState};
use engine::stripe_account::{StripeAccountError, reject_other};
use engine::tasks::outbox::send_due;
use engine::{checkout, customer_link, portal};
use sandbox::Sandbox;
use serde_json::{Value, json};
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::doctor::check;

use crate::support::{Harness, PAYS, deliver, on_both_databases};

on_both_databases! {
    async fn a_key_of_another_account_is_rejected_and_changes_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let event = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        let elsewhere = another_sandbox().await;
        let other = at(&app, &elsewhere);

        let rejected = reject_other(&other).await.unwrap_err().to_string();
        assert_eq!(rejected.matches("acct_").count(), 2, "both accounts are named: {rejected}");
        let checks = check(&other, &OperatorPermit::for_cli()).await;
        let found = checks.iter().find(|check| check.subject == "Stripe account").unwrap();
        assert_eq!(found.health, Health::Failed, "{found:?}");
        assert!(reconcile(&other, Mode::Repair, 30).await.unwrap_err().to_string().contains("another database"));
        assert!(matches!(send_due(&other).await, Err(StripeAccountError::Other(_))), "no overage is sent");
        app.stop().await;
        let mut tx = app.tollgate.db().begin().await.unwrap();
        assert!(inbox::replay(&mut tx, &billing::EventId::new(&event), app.tollgate.now()).await.unwrap());
        tx.commit().await.unwrap();
        other.drain().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Pending), "it waits for the right key");
        let account = app.account("ada@example.com").await;
        let entitlement = app.tollgate.entitlement(&account).await.unwrap();
        assert_eq!(entitlement.tier.as_str(), "PRO");

        app.tollgate.drain().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Done));
        elsewhere.shutdown().await;
    }

    async fn nothing_is_sold_and_no_portal_is_opened_with_a_key_of_another_account(database) {
        let app = Harness::start(database).await;
        app.paying("ada@example.com").await;
        app.signed_up("eve@example.com").await;
        let elsewhere = another_sandbox().await;
        let other = at(&app, &elsewhere);
        let eve = app.account("eve@example.com").await;
        for rejected in [
            checkout::start_subscription(&other, &eve, "PRO", "month").await,
            checkout::start_purchase(&other, &eve, "ai-500").await,
            portal::open(&other, &eve, PortalFlow::Home).await,
        ] {
            assert!(matches!(rejected, Err(CheckoutError::OtherAccount(_))), "{rejected:?}");
        }
        let link = customer_link::link(&other, &CustomerId::new("cus_1"), &eve).await;
        assert!(matches!(link, Err(LinkError::StripeAccount(StripeAccountError::Other(_)))), "{link:?}");
        assert!(elsewhere.requests().iter().all(|call| call.path == "/v1/account"), "{:?}", elsewhere.requests());
        elsewhere.shutdown().await;
    }

    /// An app that starts while Stripe is down could have the key of any account.
    async fn nothing_is_applied_or_repaired_until_the_account_is_known(database) {
        let app = Harness::start(database).await;
        app.paying("ada@example.com").await;
        app.settled().await;
        let event = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        app.stop().await;
        let mut tx = app.tollgate.db().begin().await.unwrap();
        assert!(inbox::replay(&mut tx, &billing::EventId::new(&event), app.tollgate.now()).await.unwrap());
        tx.commit().await.unwrap();

        let started = at(&app, &app.sandbox);
        let down = [("fail_next", "1000000"), ("status", "503"), ("path", "/v1/account"), ("should_retry", "false")];
        app.sandbox.control("POST faults", &down).unwrap();
        reject_other(&started).await.unwrap();
        started.drain().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Pending));
        assert!(started.circuit_breaker().outage().is_some(), "operators see that events wait");
        assert!(reconcile(&started, Mode::Repair, 30).await.is_err());
        let account = app.account("ada@example.com").await;
        assert_eq!(started.entitlement(&account).await.unwrap().tier.as_str(), "PRO", "pages work");

        app.sandbox.control("POST faults/clear", &[]).unwrap();
        app.sandbox.advance(Duration::from_secs(60));
        started.drain().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Done));
        assert!(started.circuit_breaker().outage().is_none());
    }

    async fn a_database_without_customers_takes_any_account(database) {
        let app = Harness::start(database).await;
        let elsewhere = another_sandbox().await;
        reject_other(&at(&app, &elsewhere)).await.unwrap();
        let checks = check(&at(&app, &elsewhere), &OperatorPermit::for_cli()).await;
        let found = checks.iter().find(|check| check.subject == "Stripe account").unwrap();
        assert!(found.health == Health::Ok && found.message.contains("test mode"), "{found:?}");
        elsewhere.shutdown().await;
    }

    async fn an_event_of_another_mode_is_kept_and_not_applied(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.sandbox.hold_deliveries(true);
        app.subscribe(&browser, "PRO", PAYS).await;
        let created = app.stripe_lists("/v1/events?type=customer.subscription.created").await.remove(0);
        assert_eq!(deliver(app.url.clone(), live(created)).await, 200);
        app.applied().await;
        let filter = EventFilter { state: Some(EventState::Parked), about: None };
        let parked = inbox::list(app.tollgate.db(), &filter, &Cursor::start(), 10).await.unwrap();
        assert!(parked[0].last_error.as_deref().unwrap().contains("different mode"), "{parked:?}");
        assert!(!browser.opens("/dashboard/analytics").await);
    }
}

/// The same event in live mode.
fn live(mut event: Value) -> String {
    event["livemode"] = json!(true);
    event.to_string()
}

async fn another_sandbox() -> Sandbox {
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    sandbox::start(sandbox::Config { addr, ..sandbox::Config::development() }).await.unwrap()
}

/// A node on the app's database whose key is of another Stripe account. Nothing runs on it by itself.
fn at(app: &Harness, elsewhere: &Sandbox) -> Tollgate {
    let address = elsewhere.url().parse().unwrap();
    app.idle_node(|config| config.stripe.api_base = Some(address), app.tollgate.clock())
}
