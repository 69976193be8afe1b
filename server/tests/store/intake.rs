//! Deliveries that come together are committed together, and each gets its own answer.

use std::sync::Arc;

use billing::EventId;
use server::store::inbox;
use server::webhook::intake::Intake;
use tokio::task::JoinSet;

use crate::engines::{NOW, Store, at_once, delivery, until};

async fn is_kept(store: &Store, id: &str) -> bool {
    inbox::standing(&store.db, &EventId::new(id)).await.unwrap().is_some()
}

on_both_engines! {
    async fn every_event_is_kept_by_the_time_it_is_answered(store) {
        let intake = Arc::new(Intake::default());
        let answers = at_once(300, |n| {
            let (store, intake) = (store.clone(), Arc::clone(&intake));
            async move {
                let id = format!("evt_{n}");
                let new = intake.write(&store.db, delivery(&id), NOW).await.unwrap();
                (new, is_kept(&store, &id).await)
            }
        })
        .await;
        assert!(answers.iter().all(|answer| *answer == (true, true)), "{answers:?}");
        assert_eq!(inbox::count(&store.db).await.unwrap(), 300);
    }

    async fn one_of_twenty_deliveries_of_one_event_is_new(store) {
        let intake = Arc::new(Intake::default());
        let answers = at_once(20, |_| {
            let (store, intake) = (store.clone(), Arc::clone(&intake));
            async move { intake.write(&store.db, delivery("evt_1"), NOW).await.unwrap() }
        })
        .await;
        assert_eq!(answers.iter().filter(|new| **new).count(), 1);
        assert_eq!(inbox::count(&store.db).await.unwrap(), 1);
    }

    async fn two_nodes_that_get_the_same_events_in_opposite_order_do_not_block_each_other(store) {
        let nodes = [Arc::new(Intake::default()), Arc::new(Intake::default())];
        let answers = at_once(200, |n| {
            let (store, intake) = (store.clone(), Arc::clone(&nodes[n % 2]));
            let id = if n % 2 == 0 { n / 2 } else { 99 - n / 2 };
            async move { intake.write(&store.db, delivery(&format!("evt_{id}")), NOW).await.unwrap() }
        })
        .await;
        assert_eq!(answers.iter().filter(|new| **new).count(), 100);
        assert_eq!(inbox::count(&store.db).await.unwrap(), 100);
    }

    async fn a_database_that_is_gone_is_told_to_everybody_who_waits(store) {
        let intake = Arc::new(Intake::default());
        store.db.close().await;
        let answers = at_once(20, |n| {
            let (store, intake) = (store.clone(), Arc::clone(&intake));
            async move { intake.write(&store.db, delivery(&format!("evt_{n}")), NOW).await }
        })
        .await;
        assert!(answers.iter().all(Result::is_err), "Stripe would not deliver them again");
    }

    /// Stripe hangs up, or the time is over: whoever committed for the others is gone.
    async fn a_delivery_that_is_cut_off_holds_up_nobody(store) {
        let intake = Arc::new(Intake::default());
        let mut cut_off = JoinSet::new();
        let mut patient = JoinSet::new();
        for n in 0..100 {
            let (store, intake) = (store.clone(), Arc::clone(&intake));
            let waiting = async move {
                let id = format!("evt_{n}");
                let answer = intake.write(&store.db, delivery(&id), NOW).await;
                (id, answer)
            };
            if n % 2 == 0 { cut_off.spawn(waiting) } else { patient.spawn(waiting) };
        }
        until("somebody was answered", || async { inbox::count(&store.db).await.unwrap() > 0 }).await;
        cut_off.abort_all();
        let answers = tokio::time::timeout(std::time::Duration::from_secs(10), patient.join_all()).await;
        for (id, answer) in answers.expect("nobody waits for ever") {
            assert!(answer.is_err() || is_kept(&store, &id).await, "{id} was answered and is not there");
        }
        assert!(intake.write(&store.db, delivery("evt_later"), NOW).await.unwrap());
    }
}

/// PostgreSQL takes no NUL in a text.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_refuses_one_bad_event_and_not_those_beside_it() {
    crate::engines::on_postgres(|store: Store| async move {
        let intake = Arc::new(Intake::default());
        let answers = at_once(40, |n| {
            let (store, intake) = (store.clone(), Arc::clone(&intake));
            async move {
                let mut event = delivery(&format!("evt_{n}"));
                if n == 20 {
                    event.kind.push('\0');
                }
                (n, intake.write(&store.db, event, NOW).await)
            }
        })
        .await;
        for (n, answer) in &answers {
            assert_eq!(answer.is_err(), *n == 20, "event {n}: {answer:?}");
        }
        assert_eq!(inbox::count(&store.db).await.unwrap(), 39);
    })
    .await;
}
