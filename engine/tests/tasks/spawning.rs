//! Starting and stopping an engine's tasks.

use std::sync::{Arc, Mutex};

use billing::Catalog;
use engine::clock::Clock;
use engine::tasks::supervisor::TaskHealth;
use engine::{Billable, Engine, StripeSettings, Urls};
use tokio_util::sync::CancellationToken;

use crate::databases::{TestDatabase, until};
use crate::samples::{NOW, pro};

/// An engine that cannot reach Stripe, and the changes that its host is notified about.
fn engine(database: &TestDatabase) -> (Engine, Arc<Mutex<Vec<String>>>) {
    let notified = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&notified);
    let catalog = Catalog::parse(include_str!("../support/plans.toml"), &|_| None).expect("the catalog is valid");
    // No server listens on the first port.
    let nowhere = "http://127.0.0.1:1".parse().expect("the address is valid");
    let stripe = StripeSettings { api_base: Some(nowhere), ..StripeSettings::new("sk_test_1", "whsec_1") };
    let engine = Engine::builder()
        .catalog(catalog)
        .stripe(stripe)
        .urls(Urls::at(&"https://app.example.com".parse().expect("the address is valid")))
        .clock(Clock::manual(NOW))
        .on_change(move |change| {
            log.lock().unwrap().push(change.id());
            async { Ok(()) }
        })
        .build_on(database.db.clone())
        .expect("the engine has all it needs");
    (engine, notified)
}

fn is_sound(task: &TaskHealth) -> bool {
    task.is_running && task.restarts == 0
}

on_both_databases! {
    async fn all_tasks_run_until_they_are_stopped(database) {
        let (engine, notified) = engine(&database);
        assert!(engine.tasks().health().is_empty(), "nothing runs yet");
        let stop = CancellationToken::new();
        let tasks = engine.spawn(&stop);
        let mut names: Vec<&str> = tasks.health().iter().map(|task| task.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["billing changes", "cache listener", "events", "overage", "reconciliation", "sweeper"]);

        let billable = Billable::new("ada", "ada@example.com");
        engine.ensure_account(&billable).await.unwrap();
        let customer = database.customer(&billable.account, "cus_ada").await;
        assert!(database.write(&billable.account, &pro("sub_1", &customer), None).await);
        engine.wake_changes().notify_one();
        until("the host is notified", || async { *notified.lock().unwrap() == ["ada/1"] }).await;

        assert!(tasks.health().iter().all(is_sound), "{:?}", tasks.health());
        stop.cancel();
        tokio::time::timeout(std::time::Duration::from_secs(90), tasks.wait()).await.expect("all tasks end");
        assert!(tasks.health().iter().all(is_sound), "{:?}", tasks.health());
    }

    async fn changes_can_be_delivered_without_a_running_task(database) {
        let (engine, notified) = engine(&database);
        let billable = Billable::new("ada", "ada@example.com");
        engine.ensure_account(&billable).await.unwrap();
        let customer = database.customer(&billable.account, "cus_ada").await;
        assert!(database.write(&billable.account, &pro("sub_1", &customer), None).await);
        assert_eq!(engine.deliver_changes().await.unwrap(), 1);
        assert_eq!(engine.deliver_changes().await.unwrap(), 0);
        assert_eq!(*notified.lock().unwrap(), ["ada/1"]);
    }
}
