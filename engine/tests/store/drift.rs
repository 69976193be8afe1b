//! Reconciliation runs one at a time, and each difference is tracked until it is fixed or resolved.

use billing::Timestamp;
use engine::StoreError;
use engine::store::drift::DriftState::{self, Fixed, Open, Resolved};
use engine::store::drift::{self, DriftEntry, DriftFilter, Found, OpenCount};
use engine::store::{Cursor, inbox};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{NOW, event};

/// The classes that these tests know.
const ALL: [&str; 6] =
    ["missed_event", "wrong_status", "orphan_customer", "unknown_price", "billed_usage", "not_compared"];

/// Begins a run unless another began after `busy_since`, and returns whether it did.
async fn begin(database: &TestDatabase, run: &str, at: Timestamp, busy_since: Timestamp) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let begun = drift::begin(&mut tx, run, false, at, busy_since).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

async fn end(
    database: &TestDatabase,
    run: &str,
    found: &[Found],
    complete_kinds: &[&str],
    error: Option<&str>,
    at: Timestamp,
) {
    let mut tx = database.db.begin().await.unwrap();
    drift::end(&mut tx, run, found, complete_kinds, error, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn forget(database: &TestDatabase, before: Timestamp) {
    let mut tx = database.db.begin().await.unwrap();
    drift::forget(&mut tx, before).await.unwrap();
    tx.commit().await.unwrap();
}

/// Stores an event, as a webhook does.
async fn receive(database: &TestDatabase, id: &str) {
    let mut tx = database.db.begin().await.unwrap();
    inbox::insert(&mut tx, &[event(id)]).await.unwrap();
    tx.commit().await.unwrap();
}

/// A run that takes a minute and begins whatever other runs there are.
async fn run(database: &TestDatabase, id: &str, at: Timestamp, found: &[Found]) {
    assert!(begin(database, id, at, Timestamp(i64::MAX)).await);
    end(database, id, found, &ALL, None, at.plus_seconds(60)).await;
}

async fn latest(database: &TestDatabase) -> Option<String> {
    drift::latest_run(&database.db).await.unwrap().map(|run| run.id)
}

/// The differences that match a filter, as class, subject and state, newest first.
async fn listed(database: &TestDatabase, filter: &DriftFilter) -> Vec<(String, String, DriftState)> {
    let all = drift::list(&database.db, filter, &Cursor::start(), 100).await.unwrap();
    all.into_iter().map(|one| (one.kind, one.subject, one.state)).collect()
}

/// Everything ever found about an object, newest first.
async fn about(database: &TestDatabase, subject: &str) -> Vec<DriftEntry> {
    let filter = DriftFilter { subject: Some(subject.to_owned()), ..DriftFilter::default() };
    drift::list(&database.db, &filter, &Cursor::start(), 100).await.unwrap()
}

fn states(listed: &[DriftEntry]) -> Vec<DriftState> {
    listed.iter().map(|one| one.state).collect()
}

fn found(kind: &str, subject: &str, is_fixed: bool) -> Found {
    Found {
        key: format!("{kind}:{subject}"),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        description: format!("{subject} differs"),
        is_fixed,
    }
}

on_both_databases! {
    async fn a_run_that_began_recently_keeps_others_from_beginning(database) {
        assert!(begin(&database, "run_1", NOW, NOW.plus_seconds(-900)).await);
        let later = NOW.plus_seconds(600);
        assert!(!begin(&database, "run_2", later, later.plus_seconds(-900)).await, "ten minutes ago is recent");
        let much_later = NOW.plus_seconds(900);
        assert!(begin(&database, "run_3", much_later, much_later.plus_seconds(-900)).await);
    }

    async fn a_dry_or_failed_run_does_not_keep_others_from_beginning(database) {
        let mut tx = database.db.begin().await.unwrap();
        assert!(drift::begin(&mut tx, "run_dry", true, NOW, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert!(begin(&database, "run_1", NOW.plus_seconds(60), NOW).await, "a dry run repairs nothing");
        end(&database, "run_1", &[], &[], Some("Stripe is unavailable"), NOW.plus_seconds(70)).await;
        assert!(begin(&database, "run_2", NOW.plus_seconds(80), NOW).await, "that run failed");
        assert!(!begin(&database, "run_3", NOW.plus_seconds(90), NOW).await);
    }

    async fn a_run_that_an_operator_starts_begins_however_recent_the_last_one_is(database) {
        for n in 0..3 {
            assert!(begin(&database, &format!("run_{n}"), NOW, Timestamp(i64::MAX)).await);
        }
    }

    async fn only_one_of_many_nodes_that_begin_concurrently_succeeds(database) {
        for round in 0..5 {
            let at = NOW.plus_days(round);
            let begun = concurrently(8, |n| {
                let database = database.clone();
                async move { begin(&database, &format!("run_{round}_{n}"), at, at.plus_seconds(-900)).await }
            })
            .await;
            assert_eq!(begun.iter().filter(|begun| **begun).count(), 1, "round {round}");
        }
    }

    async fn a_run_that_begins_while_another_is_beginning_waits_for_its_outcome(database) {
        let mut first = database.db.begin().await.unwrap();
        assert!(drift::begin(&mut first, "run_1", false, NOW, NOW.plus_seconds(-900)).await.unwrap());
        let second = tokio::spawn({
            let database = database.clone();
            async move { begin(&database, "run_2", NOW, NOW.plus_seconds(-900)).await }
        });
        database.until_waiting(&second).await;
        first.commit().await.unwrap();
        assert!(!second.await.unwrap());
    }

    async fn differences_are_listed_newest_first_and_filtered(database) {
        assert!(drift::latest_run(&database.db).await.unwrap().is_none());
        run(&database, "run_1", NOW, &[found("orphan_customer", "cus_1", false), found("missed_event", "evt_1", true)])
            .await;
        run(
            &database,
            "run_2",
            NOW.plus_days(1),
            &[found("wrong_status", "sub_1", true), found("orphan_customer", "cus_1", false)],
        )
        .await;
        let latest = drift::latest_run(&database.db).await.unwrap().expect("it has ended");
        assert_eq!((latest.id.as_str(), latest.is_dry, latest.error), ("run_2", false, None));
        assert_eq!((latest.started_at, latest.finished_at), (NOW.plus_days(1).0, Some(NOW.plus_days(1).0 + 60)));

        let row = |kind: &str, subject: &str, state| (kind.to_owned(), subject.to_owned(), state);
        let (wrong, orphan, missed) = (
            row("wrong_status", "sub_1", Fixed),
            row("orphan_customer", "cus_1", Open),
            row("missed_event", "evt_1", Fixed),
        );
        let all = listed(&database, &DriftFilter::default()).await;
        assert_eq!(all[0], wrong);
        assert!(all.len() == 3 && all.contains(&orphan) && all.contains(&missed), "{all:?}");
        let kind = |kind: &str| DriftFilter { kind: Some(kind.to_owned()), ..DriftFilter::default() };
        let state = |state| DriftFilter { state: Some(state), ..DriftFilter::default() };
        assert_eq!(listed(&database, &kind("missed_event")).await, [missed]);
        assert_eq!(listed(&database, &kind("unknown_price")).await, []);
        assert_eq!(listed(&database, &state(Open)).await, [orphan]);
        assert_eq!(listed(&database, &state(Resolved)).await, []);
        assert_eq!(about(&database, "sub_1").await.len(), 1);
        assert_eq!(
            drift::count_open(&database.db).await.unwrap(),
            [OpenCount { kind: "orphan_customer".to_owned(), open: 1 }]
        );
    }

    async fn pages_of_differences_join_without_a_gap(database) {
        let many: Vec<Found> = (0..25).map(|n| found("missed_event", &format!("evt_{n}"), true)).collect();
        run(&database, "run_1", NOW, &many).await;
        run(&database, "run_2", NOW, &[found("missed_event", "evt_late", true)]).await;
        let (mut after, mut seen) = (Cursor::start(), Vec::new());
        loop {
            let page = drift::list(&database.db, &DriftFilter::default(), &after, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Cursor { at: last.found_at, key: last.id.clone() };
            seen.extend(page.into_iter().map(|one| one.subject));
        }
        assert_eq!(seen.len(), 26);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 26);
    }

    async fn a_difference_that_many_runs_see_is_one(database) {
        for day in 0..3 {
            let mut seen = found("billed_usage", "cus_1", false);
            seen.description = format!("day {day}");
            run(&database, &format!("run_{day}"), NOW.plus_days(day), &[seen]).await;
        }
        let [one] = &about(&database, "cus_1").await[..] else { panic!("it is one difference") };
        assert_eq!((one.found_at, one.seen_at), (NOW.plus_seconds(60), NOW.plus_days(2).plus_seconds(60)));
        assert_eq!((one.description.as_str(), one.state), ("day 2", Open));
    }

    async fn an_object_can_have_two_differences(database) {
        let both = ["price_1", "price_2"].map(|price| Found {
            key: format!("unknown_price:sub_1:{price}"),
            ..found("unknown_price", "sub_1", false)
        });
        run(&database, "run_1", NOW, &both).await;
        assert_eq!(states(&about(&database, "sub_1").await), [Open, Open]);
    }

    async fn a_difference_that_was_fixed_or_resolved_can_come_back(database) {
        let both = [found("wrong_status", "sub_1", false), found("orphan_customer", "cus_1", false)];
        run(&database, "run_1", NOW, &both).await;
        run(&database, "run_2", NOW.plus_days(1), &[found("wrong_status", "sub_1", true)]).await;
        assert_eq!(states(&about(&database, "sub_1").await), [Fixed]);
        let resolved = about(&database, "cus_1").await;
        assert_eq!((states(&resolved), resolved[0].seen_at), (vec![Resolved], NOW.plus_days(1).plus_seconds(60)));
        assert!(drift::count_open(&database.db).await.unwrap().is_empty());

        run(&database, "run_3", NOW.plus_days(2), &both).await;
        assert_eq!(states(&about(&database, "sub_1").await), [Open, Fixed]);
        assert_eq!(states(&about(&database, "cus_1").await), [Open, Resolved]);
    }

    /// It failed before that, or does not look back as far.
    async fn a_difference_that_a_run_could_not_compare_stays_open(database) {
        let all =
            ["orphan_customer", "missed_event", "wrong_status"].map(|kind| found(kind, &format!("of_{kind}"), false));
        run(&database, "run_1", NOW, &all).await;
        assert!(begin(&database, "run_2", NOW.plus_days(1), Timestamp(i64::MAX)).await);
        end(&database, "run_2", &[], &["wrong_status"], Some("Stripe is unavailable"), NOW.plus_days(1)).await;
        assert_eq!(states(&about(&database, "of_orphan_customer").await), [Open], "the run failed before that");
        assert_eq!(states(&about(&database, "of_wrong_status").await), [Resolved], "the run failed after that");
        run(&database, "run_again", NOW.plus_days(1), &all).await;

        run(&database, "run_3", NOW.plus_days(2), &[found("not_compared", "of_wrong_status", false)]).await;
        assert_eq!(states(&about(&database, "of_orphan_customer").await), [Resolved]);
        assert_eq!(states(&about(&database, "of_missed_event").await), [Open], "that run did not look back as far");
        let about_one = about(&database, "of_wrong_status").await;
        assert_eq!(states(&about_one), [Open, Open, Resolved], "it was not compared: {about_one:?}");
    }

    /// Of two concurrent runs the later one saw what had not existed yet when the earlier one read.
    async fn a_difference_first_seen_after_a_run_began_is_not_resolved_by_it(database) {
        assert!(begin(&database, "run_early", NOW, Timestamp(i64::MAX)).await);
        run(&database, "run_late", NOW.plus_seconds(60), &[found("orphan_customer", "cus_1", false)]).await;
        end(&database, "run_early", &[], &ALL, None, NOW.plus_seconds(600)).await;
        assert_eq!(states(&about(&database, "cus_1").await), [Open]);
    }

    async fn a_missed_event_that_has_arrived_is_resolved(database) {
        run(&database, "run_1", NOW, &[found("missed_event", "evt_1", false)]).await;
        receive(&database, "evt_1").await;
        run(&database, "run_2", NOW.plus_days(1), &[]).await;
        assert_eq!(states(&about(&database, "evt_1").await), [Resolved]);
    }

    async fn a_dry_run_is_recorded_as_one(database) {
        let mut tx = database.db.begin().await.unwrap();
        assert!(drift::begin(&mut tx, "run_1", true, NOW, NOW).await.unwrap());
        drift::end(&mut tx, "run_1", &[], &ALL, None, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let run = drift::latest_run(&database.db).await.unwrap().expect("it has ended");
        assert!(run.is_dry);
    }

    async fn a_failed_run_keeps_its_error_and_its_findings(database) {
        assert!(begin(&database, "run_1", NOW, NOW).await);
        end(&database, "run_1", &[found("missed_event", "evt_1", true)], &[], Some("Stripe is unavailable"), NOW).await;
        let run = drift::latest_run(&database.db).await.unwrap().expect("it has ended");
        assert_eq!(run.error.as_deref(), Some("Stripe is unavailable"));
        assert_eq!(states(&about(&database, "evt_1").await), [Fixed], "its earlier findings are kept");
    }

    async fn the_latest_run_is_the_one_that_began_last_of_those_that_ended(database) {
        run(&database, "run_1", NOW, &[]).await;
        run(&database, "run_3", NOW.plus_days(2), &[]).await;
        run(&database, "run_2", NOW.plus_days(1), &[]).await;
        assert!(begin(&database, "run_4", NOW.plus_days(3), NOW.plus_days(3)).await);
        assert_eq!(latest(&database).await.as_deref(), Some("run_3"), "run 4 is in progress or was killed");
        run(&database, "run_5", NOW.plus_days(2), &[]).await;
        assert_eq!(
            latest(&database).await.as_deref(),
            Some("run_5"),
            "of two that began in the same second, the one with the greater id"
        );
    }

    async fn a_difference_not_seen_for_long_is_deleted_with_its_run(database) {
        run(
            &database,
            "run_old",
            NOW,
            &[found("missed_event", "evt_1", true), found("orphan_customer", "cus_1", false)],
        )
        .await;
        run(&database, "run_kept", NOW.plus_days(1), &[found("orphan_customer", "cus_1", false)]).await;
        forget(&database, NOW.plus_days(1)).await;
        assert_eq!(
            listed(&database, &DriftFilter::default()).await.len(),
            1,
            "the one that is still seen is kept from its beginning"
        );
        assert_eq!(about(&database, "cus_1").await[0].found_at, NOW.plus_seconds(60));
        assert_eq!(latest(&database).await.as_deref(), Some("run_kept"));
        forget(&database, NOW.plus_days(2)).await;
        assert_eq!((listed(&database, &DriftFilter::default()).await.len(), latest(&database).await), (0, None));
        // A run with the same id can begin again.
        run(&database, "run_old", NOW, &[found("missed_event", "evt_1", true)]).await;
        assert_eq!(latest(&database).await.as_deref(), Some("run_old"));
    }

    async fn a_run_that_never_began_cannot_end(database) {
        let mut tx = database.db.begin().await.unwrap();
        let ended: Result<(), StoreError> =
            drift::end(&mut tx, "run_none", &[found("missed_event", "evt_1", true)], &ALL, None, NOW).await;
        assert!(ended.is_err(), "a difference belongs to a run");
    }
}
