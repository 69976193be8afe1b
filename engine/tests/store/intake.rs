//! Deliveries that arrive at the same time are committed together, and each gets its own result.

use billing::EventId;
use engine::Db;
use engine::inbox::intake::Intake;
use engine::store::inbox;
use tokio::task::JoinSet;

use crate::databases::{TestDatabase, concurrently, on_postgres, on_sqlite, until};
use crate::samples::event;

async fn is_stored(database: &TestDatabase, id: &str) -> bool {
    inbox::by_id(&database.db, &EventId::new(id)).await.unwrap().is_some()
}

/// The number of stored events.
async fn count(db: &Db) -> i64 {
    inbox::count_by_state(db).await.unwrap().into_iter().map(|count| count.events).sum()
}

on_both_databases! {
    async fn every_event_is_stored_before_it_is_acknowledged(database) {
        let intake = Intake::new(&database.db);
        let results = concurrently(300, |n| {
            let (database, intake) = (database.clone(), intake.clone());
            async move {
                let id = format!("evt_{n}");
                let new = intake.store(event(&id)).await.unwrap();
                (new, is_stored(&database, &id).await)
            }
        })
        .await;
        assert!(results.iter().all(|result| *result == (true, true)), "{results:?}");
        assert_eq!(count(&database.db).await, 300);
    }

    async fn only_one_of_twenty_deliveries_of_an_event_is_new(database) {
        let intake = Intake::new(&database.db);
        let results = concurrently(20, |_| {
            let intake = intake.clone();
            async move { intake.store(event("evt_1")).await.unwrap() }
        })
        .await;
        assert_eq!(results.iter().filter(|new| **new).count(), 1);
        assert_eq!(count(&database.db).await, 1);
    }

    async fn two_nodes_that_receive_the_same_events_in_opposite_order_do_not_deadlock(database) {
        let other = database.another_node().await;
        let nodes = [Intake::new(&database.db), Intake::new(&other)];
        let results = concurrently(200, |n| {
            let intake = nodes[n % 2].clone();
            let id = if n % 2 == 0 { n / 2 } else { 99 - n / 2 };
            async move { intake.store(event(&format!("evt_{id}"))).await.unwrap() }
        })
        .await;
        assert_eq!(results.iter().filter(|new| **new).count(), 100);
        assert_eq!(count(&database.db).await, 100);
        other.close().await;
    }

    async fn every_waiting_delivery_fails_when_the_database_is_gone(database) {
        let intake = Intake::new(&database.db);
        database.db.close().await;
        let results = concurrently(20, |n| {
            let intake = intake.clone();
            async move { intake.store(event(&format!("evt_{n}"))).await }
        })
        .await;
        assert!(results.iter().all(Result::is_err), "otherwise Stripe would not deliver them again");
    }

    /// Stripe disconnects, or a request times out.
    async fn a_canceled_delivery_does_not_delay_the_others(database) {
        let intake = Intake::new(&database.db);
        let mut cut_off = JoinSet::new();
        let mut waiting = JoinSet::new();
        for n in 0..100 {
            let intake = intake.clone();
            let delivery = async move {
                let id = format!("evt_{n}");
                let result = intake.store(event(&id)).await;
                (id, result)
            };
            if n % 2 == 0 {
                cut_off.spawn(delivery)
            } else {
                waiting.spawn(delivery)
            };
        }
        until("an event was stored", || async { count(&database.db).await > 0 }).await;
        cut_off.abort_all();
        for (id, result) in waiting.join_all().await {
            assert!(result.is_err() || is_stored(&database, &id).await, "{id} was acknowledged and is not stored");
        }
        assert!(intake.store(event("evt_later")).await.unwrap());
    }
}

/// PostgreSQL accepts no NUL in a string.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_rejects_only_the_bad_event_of_a_batch() {
    on_postgres(|database: TestDatabase| async move {
        let intake = Intake::new(&database.db);
        let results = concurrently(40, |n| {
            let intake = intake.clone();
            async move {
                let mut delivery = event(&format!("evt_{n}"));
                if n == 20 {
                    delivery.kind.push('\0');
                }
                (n, intake.store(delivery).await)
            }
        })
        .await;
        for (n, result) in &results {
            assert_eq!(result.is_err(), *n == 20, "event {n}: {result:?}");
        }
        assert_eq!(count(&database.db).await, 39);
    })
    .await;
}

/// Lets every task of this thread run as far as it can.
async fn let_others_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Stripe disconnects while the commit before its own is in progress.
async fn a_caller_that_gives_up_before_its_commit_began(database: TestDatabase) {
    let mut holder = database.db.begin().await.unwrap();
    inbox::insert(&mut holder, &[event("evt_first")]).await.unwrap();
    let intake = Intake::new(&database.db);
    let store = |id: &str| {
        let (intake, event) = (intake.clone(), event(id));
        tokio::spawn(async move { intake.store(event).await })
    };
    let first = store("evt_first");
    database.until_waiting(&first).await;
    let_others_run().await;
    let second = store("evt_second");
    let_others_run().await;
    second.abort();
    assert!(second.await.is_err_and(|error| error.is_cancelled()), "it got its result before the first");
    drop(holder);
    assert!(first.await.unwrap().unwrap());
    assert!(intake.store(event("evt_third")).await.unwrap());
    assert!(!is_stored(&database, "evt_second").await, "it was stored after its caller was canceled");
}

#[tokio::test]
async fn sqlite_never_stores_an_event_whose_caller_gave_up_before_its_commit_began() {
    on_sqlite(a_caller_that_gives_up_before_its_commit_began).await;
}

#[tokio::test]
async fn postgres_never_stores_an_event_whose_caller_gave_up_before_its_commit_began() {
    on_postgres(a_caller_that_gives_up_before_its_commit_began).await;
}
