//! One comparison with Stripe at a time, and what it found.

use billing::{EventId, Timestamp};
use server::StoreError;
use server::store::After;
use server::store::drift::{self, DriftState, Filter, Found, Listed};
use server::store::inbox;

use crate::engines::{NOW, Store, at_once, new_event};

/// The classes that these tests know.
const ALL: [&str; 6] =
    ["missed_event", "wrong_status", "orphan_customer", "unknown_price", "billed_use", "not_compared"];

/// Begins a run unless another began after `busy_since`; whether it did.
async fn begin(store: &Store, run: &str, at: Timestamp, busy_since: Timestamp) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let begun = drift::begin(&mut tx, run, false, at, busy_since).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

async fn end(store: &Store, run: &str, found: &[Found], seen_whole: &[&str], error: Option<&str>, at: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    drift::end(&mut tx, run, found, seen_whole, error, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn forget(store: &Store, before: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    drift::forget(&mut tx, before).await.unwrap();
    tx.commit().await.unwrap();
}

/// What a webhook writes down.
async fn receive(store: &Store, id: &str) {
    let mut tx = store.db.begin().await.unwrap();
    assert!(inbox::insert(&mut tx, &new_event(&EventId::new(id)), NOW).await.unwrap());
    tx.commit().await.unwrap();
}

/// A run of one node that did not look for others, over in a minute.
async fn run(store: &Store, id: &str, at: Timestamp, found: &[Found]) {
    assert!(begin(store, id, at, Timestamp(i64::MAX)).await);
    end(store, id, found, &ALL, None, at.plus_seconds(60)).await;
}

async fn latest(store: &Store) -> Option<String> {
    drift::latest(&store.db).await.unwrap().map(|run| run.id)
}

/// The differences that a filter lets through, as class, subject and state, newest first.
async fn listed(store: &Store, filter: &Filter) -> Vec<(String, String, String)> {
    let all = drift::list(&store.db, filter, &After::start(), 100).await.unwrap();
    all.into_iter().map(|one| (one.kind, one.subject, one.state)).collect()
}

/// Everything ever found about an object, newest first.
async fn about(store: &Store, subject: &str) -> Vec<Listed> {
    let filter = Filter { subject: Some(subject.to_owned()), ..Filter::default() };
    drift::list(&store.db, &filter, &After::start(), 100).await.unwrap()
}

fn states(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|one| one.state.as_str()).collect()
}

fn found(kind: &str, subject: &str, is_mended: bool) -> Found {
    Found {
        key: format!("{kind}:{subject}"),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        sentence: format!("{subject} differs"),
        is_mended,
    }
}

on_both_engines! {
    async fn a_run_that_began_lately_will_do_for_the_others(store) {
        assert!(begin(&store, "run_1", NOW, NOW.plus_seconds(-900)).await);
        let later = NOW.plus_seconds(600);
        assert!(!begin(&store, "run_2", later, later.plus_seconds(-900)).await, "ten minutes ago is lately");
        let much_later = NOW.plus_seconds(900);
        assert!(begin(&store, "run_3", much_later, much_later.plus_seconds(-900)).await);
    }

    /// Nor does one that only looked, or was kept from it.
    async fn a_run_that_mended_nothing_will_not_do_for_the_others(store) {
        let mut tx = store.db.begin().await.unwrap();
        assert!(drift::begin(&mut tx, "run_dry", true, NOW, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert!(begin(&store, "run_1", NOW.plus_seconds(60), NOW).await, "that one only looked");
        end(&store, "run_1", &[], &[], Some("Stripe is unavailable"), NOW.plus_seconds(70)).await;
        assert!(begin(&store, "run_2", NOW.plus_seconds(80), NOW).await, "that one was kept from it");
        assert!(!begin(&store, "run_3", NOW.plus_seconds(90), NOW).await);
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

    async fn what_was_found_is_listed_newest_first_and_filtered(store) {
        assert!(drift::latest(&store.db).await.unwrap().is_none());
        run(&store, "run_1", NOW, &[found("orphan_customer", "cus_1", false), found("missed_event", "evt_1", true)]).await;
        run(&store, "run_2", NOW.plus_days(1), &[found("wrong_status", "sub_1", true), found("orphan_customer", "cus_1", false)]).await;
        let latest = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert_eq!((latest.id.as_str(), latest.is_dry, latest.error), ("run_2", false, None));
        assert_eq!((latest.started_at, latest.finished_at), (NOW.plus_days(1).0, Some(NOW.plus_days(1).0 + 60)));

        let row = |kind: &str, subject: &str, state: &str| (kind.to_owned(), subject.to_owned(), state.to_owned());
        let (wrong, orphan, missed) = (
            row("wrong_status", "sub_1", "mended"),
            row("orphan_customer", "cus_1", "left"),
            row("missed_event", "evt_1", "mended"),
        );
        let all = listed(&store, &Filter::default()).await;
        assert_eq!(all[0], wrong);
        assert!(all.len() == 3 && all.contains(&orphan) && all.contains(&missed), "{all:?}");
        let kind = |kind: &str| Filter { kind: Some(kind.to_owned()), ..Filter::default() };
        let state = |state| Filter { state: Some(state), ..Filter::default() };
        assert_eq!(listed(&store, &kind("missed_event")).await, [missed]);
        assert_eq!(listed(&store, &kind("unknown_price")).await, []);
        assert_eq!(listed(&store, &state(DriftState::Left)).await, [orphan]);
        assert_eq!(listed(&store, &state(DriftState::Gone)).await, []);
        assert_eq!(about(&store, "sub_1").await.len(), 1);
        assert_eq!(drift::count_left(&store.db).await.unwrap(), [("orphan_customer".to_owned(), 1)]);
    }

    async fn pages_of_what_was_found_join_without_a_gap(store) {
        let many: Vec<Found> = (0..25).map(|n| found("missed_event", &format!("evt_{n}"), true)).collect();
        run(&store, "run_1", NOW, &many).await;
        run(&store, "run_2", NOW, &[found("missed_event", "evt_late", true)]).await;
        let (mut after, mut seen) = (After::start(), Vec::new());
        loop {
            let page = drift::list(&store.db, &Filter::default(), &after, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            after = After { at: Timestamp(last.found_at), key: last.id.clone() };
            seen.extend(page.into_iter().map(|one| one.subject));
        }
        assert_eq!(seen.len(), 26);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 26);
    }

    async fn what_many_runs_see_is_one_difference(store) {
        for day in 0..3 {
            let mut seen = found("billed_use", "cus_1", false);
            seen.sentence = format!("day {day}");
            run(&store, &format!("run_{day}"), NOW.plus_days(day), &[seen]).await;
        }
        let [one] = &about(&store, "cus_1").await[..] else { panic!("it is one") };
        assert_eq!((one.found_at, one.seen_at), (NOW.0 + 60, NOW.plus_days(2).0 + 60));
        assert_eq!((one.sentence.as_str(), one.state.as_str()), ("day 2", "left"));
    }

    async fn two_differences_of_one_object_are_two(store) {
        let both = ["price_1", "price_2"].map(|price| Found { key: format!("unknown_price:sub_1:{price}"), ..found("unknown_price", "sub_1", false) });
        run(&store, "run_1", NOW, &both).await;
        assert_eq!(states(&about(&store, "sub_1").await), ["left", "left"]);
    }

    async fn what_is_mended_or_not_found_again_is_over_and_may_come_back(store) {
        let both = [found("wrong_status", "sub_1", false), found("orphan_customer", "cus_1", false)];
        run(&store, "run_1", NOW, &both).await;
        run(&store, "run_2", NOW.plus_days(1), &[found("wrong_status", "sub_1", true)]).await;
        assert_eq!(states(&about(&store, "sub_1").await), ["mended"]);
        let gone = about(&store, "cus_1").await;
        assert_eq!((states(&gone), gone[0].seen_at), (vec!["gone"], NOW.plus_days(1).0 + 60));
        assert!(drift::count_left(&store.db).await.unwrap().is_empty());

        run(&store, "run_3", NOW.plus_days(2), &both).await;
        assert_eq!(states(&about(&store, "sub_1").await), ["left", "mended"]);
        assert_eq!(states(&about(&store, "cus_1").await), ["left", "gone"]);
    }

    /// It may simply not have come so far, or not as far back.
    async fn what_a_run_could_not_see_is_not_gone(store) {
        let all = ["orphan_customer", "missed_event", "wrong_status"].map(|kind| found(kind, &format!("of_{kind}"), false));
        run(&store, "run_1", NOW, &all).await;
        assert!(begin(&store, "run_2", NOW.plus_days(1), Timestamp(i64::MAX)).await);
        end(&store, "run_2", &[], &["wrong_status"], Some("Stripe is unavailable"), NOW.plus_days(1)).await;
        assert_eq!(states(&about(&store, "of_orphan_customer").await), ["left"], "it did not come so far");
        assert_eq!(states(&about(&store, "of_wrong_status").await), ["gone"], "it came that far");
        run(&store, "run_again", NOW.plus_days(1), &all).await;

        run(&store, "run_3", NOW.plus_days(2), &[found("not_compared", "of_wrong_status", false)]).await;
        assert_eq!(states(&about(&store, "of_orphan_customer").await), ["gone"]);
        assert_eq!(states(&about(&store, "of_missed_event").await), ["left"], "that run looked less far back");
        let about_one = about(&store, "of_wrong_status").await;
        assert_eq!(states(&about_one), ["left", "left", "gone"], "nobody could look at it: {about_one:?}");
    }

    /// Two at once: what began later has seen what the earlier one had read past.
    async fn what_was_seen_after_a_run_began_is_not_gone_for_it(store) {
        assert!(begin(&store, "run_early", NOW, Timestamp(i64::MAX)).await);
        run(&store, "run_late", NOW.plus_seconds(60), &[found("orphan_customer", "cus_1", false)]).await;
        end(&store, "run_early", &[], &ALL, None, NOW.plus_seconds(600)).await;
        assert_eq!(states(&about(&store, "cus_1").await), ["left"]);
    }

    async fn a_missed_event_that_came_after_all_is_gone(store) {
        run(&store, "run_1", NOW, &[found("missed_event", "evt_1", false)]).await;
        receive(&store, "evt_1").await;
        run(&store, "run_2", NOW.plus_days(1), &[]).await;
        assert_eq!(states(&about(&store, "evt_1").await), ["gone"]);
    }

    async fn a_run_that_only_looked_says_so(store) {
        let mut tx = store.db.begin().await.unwrap();
        assert!(drift::begin(&mut tx, "run_1", true, NOW, NOW).await.unwrap());
        drift::end(&mut tx, "run_1", &[], &ALL, None, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let run = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert!(run.is_dry);
    }

    async fn a_run_that_did_not_come_to_its_end_says_why(store) {
        assert!(begin(&store, "run_1", NOW, NOW).await);
        end(&store, "run_1", &[found("missed_event", "evt_1", true)], &[], Some("Stripe is unavailable"), NOW).await;
        let run = drift::latest(&store.db).await.unwrap().expect("it has ended");
        assert_eq!(run.error.as_deref(), Some("Stripe is unavailable"));
        assert_eq!(states(&about(&store, "evt_1").await), ["mended"], "what it had found by then is kept");
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

    async fn what_nobody_has_seen_for_long_is_forgotten_with_its_run(store) {
        run(&store, "run_old", NOW, &[found("missed_event", "evt_1", true), found("orphan_customer", "cus_1", false)]).await;
        run(&store, "run_kept", NOW.plus_days(1), &[found("orphan_customer", "cus_1", false)]).await;
        forget(&store, NOW.plus_days(1)).await;
        assert_eq!(listed(&store, &Filter::default()).await.len(), 1, "what is seen is remembered from its beginning");
        assert_eq!(about(&store, "cus_1").await[0].found_at, NOW.0 + 60);
        assert_eq!(latest(&store).await.as_deref(), Some("run_kept"));
        forget(&store, NOW.plus_days(2)).await;
        assert_eq!((listed(&store, &Filter::default()).await.len(), latest(&store).await), (0, None));
        // Nothing of them stands in the way of a run under the same name.
        run(&store, "run_old", NOW, &[found("missed_event", "evt_1", true)]).await;
        assert_eq!(latest(&store).await.as_deref(), Some("run_old"));
    }

    async fn nothing_is_found_by_a_run_that_never_began(store) {
        let mut tx = store.db.begin().await.unwrap();
        let ended: Result<(), StoreError> =
            drift::end(&mut tx, "run_none", &[found("missed_event", "evt_1", true)], &ALL, None, NOW).await;
        assert!(ended.is_err(), "what was found belongs to a run");
    }
}
