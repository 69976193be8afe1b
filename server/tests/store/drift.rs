//! One comparison with Stripe at a time, and what it found.

use billing::Timestamp;
use server::StoreError;
use server::store::drift::{self, Found};

use crate::engines::{NOW, Store, at_once};

/// Begins a run unless another began after `busy_since`; whether it did.
async fn begin(store: &Store, run: &str, at: Timestamp, busy_since: Timestamp) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let begun = drift::begin(&mut tx, run, false, at, busy_since).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

async fn end(store: &Store, run: &str, found: &[Found], error: Option<&str>, at: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    drift::end(&mut tx, run, found, error, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn forget(store: &Store, before: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    drift::forget(&mut tx, before).await.unwrap();
    tx.commit().await.unwrap();
}

/// A run of one node that did not look for others, over in a minute.
async fn run(store: &Store, id: &str, at: Timestamp, found: &[Found]) {
    assert!(begin(store, id, at, Timestamp(i64::MAX)).await);
    end(store, id, found, None, at.plus_seconds(60)).await;
}

async fn latest(store: &Store) -> Option<String> {
    drift::latest(&store.db).await.unwrap().map(|(run, _)| run.id)
}

fn found(kind: &str, subject: &str, is_mended: bool) -> Found {
    Found { kind: kind.to_owned(), subject: subject.to_owned(), sentence: format!("{subject} differs"), is_mended }
}

on_both_engines! {
    async fn a_run_that_began_lately_will_do_for_the_others(store) {
        assert!(begin(&store, "run_1", NOW, NOW.plus_seconds(-900)).await);
        let later = NOW.plus_seconds(600);
        assert!(!begin(&store, "run_2", later, later.plus_seconds(-900)).await, "ten minutes ago is lately");
        let much_later = NOW.plus_seconds(900);
        assert!(begin(&store, "run_3", much_later, much_later.plus_seconds(-900)).await);
    }

    async fn whoever_asks_for_a_run_gets_one_however_lately_there_was_another(store) {
        for n in 0..3 {
            assert!(begin(&store, &format!("run_{n}"), NOW, Timestamp(i64::MAX)).await);
        }
    }

    async fn of_many_nodes_that_begin_at_once_one_does(store) {
        for round in 0..5 {
            let at = NOW.plus_days(round);
            let begun = at_once(8, |n| {
                let store = store.clone();
                async move { begin(&store, &format!("run_{round}_{n}"), at, at.plus_seconds(-900)).await }
            })
            .await;
            assert_eq!(begun.iter().filter(|begun| **begun).count(), 1, "round {round}");
        }
    }

    async fn whoever_begins_while_another_is_beginning_waits_to_see_whether_it_did(store) {
        let mut first = store.db.begin().await.unwrap();
        assert!(drift::begin(&mut first, "run_1", false, NOW, NOW.plus_seconds(-900)).await.unwrap());
        let second = tokio::spawn({
            let store = store.clone();
            async move { begin(&store, "run_2", NOW, NOW.plus_seconds(-900)).await }
        });
        store.until_waiting(&second).await;
        first.commit().await.unwrap();
        assert!(!second.await.unwrap());
    }

    async fn what_was_found_comes_back_in_its_order(store) {
        assert!(drift::latest(&store.db).await.unwrap().is_none());
        let all = vec![
            found("missed_event", "evt_2", true),
            found("orphan_customer", "cus_1", false),
            found("missed_event", "evt_1", true),
        ];
        run(&store, "run_1", NOW, &all).await;
        let (run, read) = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert_eq!((run.id.as_str(), run.is_dry, run.error), ("run_1", false, None));
        assert_eq!((run.started_at, run.finished_at), (NOW.0, Some(NOW.0 + 60)));
        assert_eq!(read, all);
    }

    async fn a_run_that_only_looked_says_so(store) {
        let mut tx = store.db.begin().await.unwrap();
        assert!(drift::begin(&mut tx, "run_1", true, NOW, NOW).await.unwrap());
        drift::end(&mut tx, "run_1", &[], None, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let (run, read) = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert!(run.is_dry && read.is_empty());
    }

    async fn a_run_that_did_not_come_to_its_end_says_why(store) {
        assert!(begin(&store, "run_1", NOW, NOW).await);
        end(&store, "run_1", &[found("missed_event", "evt_1", true)], Some("Stripe is unavailable"), NOW).await;
        let (run, read) = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert_eq!(run.error.as_deref(), Some("Stripe is unavailable"));
        assert_eq!(read.len(), 1, "what it had found by then is kept");
    }

    async fn the_latest_is_the_one_that_began_last_of_those_that_have_ended(store) {
        run(&store, "run_1", NOW, &[]).await;
        run(&store, "run_3", NOW.plus_days(2), &[]).await;
        run(&store, "run_2", NOW.plus_days(1), &[]).await;
        assert!(begin(&store, "run_4", NOW.plus_days(3), NOW.plus_days(3)).await);
        assert_eq!(latest(&store).await.as_deref(), Some("run_3"), "run 4 is still under way, or was killed");
        run(&store, "run_5", NOW.plus_days(2), &[]).await;
        assert_eq!(latest(&store).await.as_deref(), Some("run_5"), "of two that began together, the later made");
    }

    async fn old_runs_are_forgotten_with_what_they_found(store) {
        for (id, day) in [("run_old", 0), ("run_kept", 1)] {
            run(&store, id, NOW.plus_days(day), &[found("missed_event", "evt_1", true)]).await;
        }
        forget(&store, NOW.plus_days(1)).await;
        assert_eq!(latest(&store).await.as_deref(), Some("run_kept"));
        forget(&store, NOW.plus_days(1).plus_seconds(1)).await;
        assert_eq!(latest(&store).await, None);
        // Nothing of them stands in the way of a run under the same name.
        run(&store, "run_old", NOW, &[found("missed_event", "evt_1", true)]).await;
        assert_eq!(latest(&store).await.as_deref(), Some("run_old"));
    }

    async fn nothing_is_found_by_a_run_that_never_began(store) {
        let mut tx = store.db.begin().await.unwrap();
        let ended: Result<(), StoreError> =
            drift::end(&mut tx, "run_none", &[found("missed_event", "evt_1", true)], None, NOW).await;
        assert!(ended.is_err(), "what was found belongs to a run");
    }
}
