//! Events are written down once, held by one worker at a time, and settled once.

use std::collections::HashSet;

use billing::{CustomerId, EventId, Timestamp};
use server::ids;
use server::store::inbox::{self, Claimed, EventState, NewEvent};

use crate::engines::{NOW, Store, at_once};

const LEASE: i64 = 120;

/// Receives an event about `cus_ada`; whether it is new.
async fn receive(store: &Store, id: &str, state: EventState) -> bool {
    let row = NewEvent {
        id: &EventId::new(id),
        kind: "customer.subscription.updated",
        api_version: Some("2026-09-30.endive"),
        created: NOW.plus_seconds(-5),
        subject: Some("sub_1"),
        customer: Some("cus_ada"),
        payload: r#"{"id":"evt"}"#,
        state,
    };
    let mut tx = store.db.begin().await.unwrap();
    let new = inbox::insert(&mut tx, &row, NOW).await.unwrap();
    tx.commit().await.unwrap();
    new
}

async fn claim(store: &Store, owner: &str, now: Timestamp, most: i64) -> Vec<Claimed> {
    inbox::claim(&store.db, owner, now, now.plus_seconds(LEASE), most).await.unwrap()
}

fn ids_of(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|event| event.event_id.as_str()).collect()
}

async fn settle(store: &Store, id: &str, state: EventState) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::settle(&mut tx, &EventId::new(id), state, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn postpone(store: &Store, id: &str, state: EventState, next: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::postpone(&mut tx, &EventId::new(id), state, next, "Stripe is down").await.unwrap();
    tx.commit().await.unwrap();
}

async fn release(store: &Store, owner: &str) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::release(&mut tx, owner).await.unwrap();
    tx.commit().await.unwrap();
}

/// What linking `cus_ada` does to its events.
async fn revive(store: &Store) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::revive_unmatched(&mut tx, &CustomerId::new("cus_ada"), NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn replay(store: &Store, id: &str) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let replayed = inbox::replay(&mut tx, &EventId::new(id), NOW).await.unwrap();
    tx.commit().await.unwrap();
    replayed
}

async fn standing(store: &Store, id: &str) -> (EventState, i64, Option<String>) {
    inbox::standing(&store.db, &EventId::new(id)).await.unwrap().expect("the event is there")
}

on_both_engines! {
    async fn an_event_is_written_down_once(store) {
        assert!(receive(&store, "evt_1", EventState::Pending).await);
        assert!(!receive(&store, "evt_1", EventState::Pending).await);
        assert_eq!(inbox::count(&store.db).await.unwrap(), 1);

        settle(&store, "evt_1", EventState::Done).await;
        assert!(!receive(&store, "evt_1", EventState::Pending).await, "delivered again after it was applied");
        assert_eq!(standing(&store, "evt_1").await, (EventState::Done, 0, None));
    }

    async fn twenty_deliveries_of_one_event_at_once_are_one_row(store) {
        let new = at_once(20, |_| {
            let store = store.clone();
            async move { receive(&store, "evt_1", EventState::Pending).await }
        })
        .await;
        assert_eq!(new.iter().filter(|new| **new).count(), 1);
        assert_eq!(inbox::count(&store.db).await.unwrap(), 1);
    }

    async fn a_claimed_event_is_what_was_delivered(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        let claimed = claim(&store, "worker", NOW, 10).await;
        let [event] = claimed.as_slice() else { panic!("{claimed:?}") };
        assert_eq!(event.event_id, "evt_1");
        assert_eq!(event.kind, "customer.subscription.updated");
        assert_eq!((event.subject.as_deref(), event.customer_id.as_deref()), (Some("sub_1"), Some("cus_ada")));
        assert_eq!(event.payload, r#"{"id":"evt"}"#);
        assert_eq!(event.attempts, 0, "never tried before");
    }

    async fn an_event_that_changes_nothing_is_kept_and_not_claimed(store) {
        receive(&store, "evt_1", EventState::Ignored).await;
        assert!(claim(&store, "worker", NOW, 10).await.is_empty());
        assert_eq!(standing(&store, "evt_1").await.0, EventState::Ignored);
        assert_eq!(inbox::next_due(&store.db).await.unwrap(), None);
    }

    async fn four_workers_share_a_hundred_events_and_none_twice(store) {
        for n in 0..100 {
            receive(&store, &format!("evt_{n:03}"), EventState::Pending).await;
        }
        let claimed = at_once(4, |worker| {
            let store = store.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let batch = claim(&store, &format!("worker {worker}"), NOW, 7).await;
                    if batch.is_empty() {
                        return mine;
                    }
                    mine.extend(batch.into_iter().map(|event| event.event_id));
                }
            }
        })
        .await
        .concat();
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), claimed.len(), "an event was claimed by two");
        assert_eq!(claimed.len(), 100, "nobody is told that nothing is due while something is");
    }

    async fn the_oldest_come_first_and_no_more_than_asked_for(store) {
        for id in ["evt_a", "evt_b", "evt_c"] {
            receive(&store, id, EventState::Pending).await;
        }
        assert_eq!(ids_of(&claim(&store, "worker", NOW, 2).await), ["evt_a", "evt_b"]);
        assert_eq!(ids_of(&claim(&store, "worker", NOW, 2).await), ["evt_c"]);
    }

    async fn a_lease_that_has_run_out_lets_another_worker_in(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&store, "killed", NOW, 10).await.len(), 1);
        let until = NOW.plus_seconds(LEASE);
        assert_eq!(inbox::next_due(&store.db).await.unwrap(), Some(until), "when the lease ends, not before");
        assert!(claim(&store, "other", until.plus_seconds(-1), 10).await.is_empty());
        let claimed = claim(&store, "other", until, 10).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].attempts, 1, "the try of the one that was killed counts");
    }

    async fn a_worker_that_stops_lets_go_of_what_it_has_not_settled(store) {
        for id in ["evt_a", "evt_b", "evt_c"] {
            receive(&store, id, EventState::Pending).await;
        }
        assert_eq!(claim(&store, "stopping", NOW, 2).await.len(), 2);
        assert_eq!(claim(&store, "other", NOW, 2).await.len(), 1);
        settle(&store, "evt_a", EventState::Done).await;
        release(&store, "stopping").await;

        let claimed = claim(&store, "third", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_b"], "neither what is done nor what another holds");
        assert_eq!(claimed[0].attempts, 0, "an event that was only let go of was not tried");
    }

    async fn a_postponed_event_waits_and_says_why(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        claim(&store, "worker", NOW, 10).await;
        let next = NOW.plus_seconds(4);
        postpone(&store, "evt_1", EventState::Pending, next).await;
        assert_eq!(standing(&store, "evt_1").await, (EventState::Pending, 1, Some("Stripe is down".to_owned())));
        assert_eq!(inbox::next_due(&store.db).await.unwrap(), Some(next));
        assert!(claim(&store, "worker", next.plus_seconds(-1), 10).await.is_empty());
        let claimed = claim(&store, "worker", next, 10).await;
        assert_eq!((claimed.len(), claimed[0].attempts), (1, 1));

        settle(&store, "evt_1", EventState::Done).await;
        assert_eq!(standing(&store, "evt_1").await, (EventState::Done, 2, None), "an error that is over is not shown");
    }

    /// Each worker fails at once and puts the event off: nobody else may take it before it is due.
    async fn workers_that_race_for_a_failing_event_try_it_once_per_due_time(store) {
        for round in 0..20 {
            let id = format!("evt_{round}");
            receive(&store, &id, EventState::Pending).await;
            let tries: usize = at_once(4, |_| {
                let (store, id) = (store.clone(), id.clone());
                async move {
                    let claimed = claim(&store, &ids::new_id(), NOW, 10).await;
                    for event in &claimed {
                        postpone(&store, &event.event_id, EventState::Pending, NOW.plus_days(1)).await;
                    }
                    claimed.iter().filter(|event| event.event_id == id).count()
                }
            })
            .await
            .into_iter()
            .sum();
            assert!(tries <= 1, "round {round}: tried {tries} times");
        }
    }

    async fn a_parked_event_waits_for_a_person(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        claim(&store, "worker", NOW, 10).await;
        postpone(&store, "evt_1", EventState::Parked, NOW).await;
        assert_eq!(standing(&store, "evt_1").await, (EventState::Parked, 1, Some("Stripe is down".to_owned())));
        assert!(claim(&store, "worker", NOW.plus_days(365), 10).await.is_empty());
        assert_eq!(inbox::next_due(&store.db).await.unwrap(), None);
    }

    async fn events_of_an_unknown_customer_come_back_when_it_is_linked(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        receive(&store, "evt_2", EventState::Pending).await;
        claim(&store, "worker", NOW, 10).await;
        settle(&store, "evt_1", EventState::Unmatched).await;
        settle(&store, "evt_2", EventState::Done).await;
        assert!(claim(&store, "worker", NOW.plus_days(1), 10).await.is_empty());

        let later = NOW.plus_days(2);
        let mut tx = store.db.begin().await.unwrap();
        assert_eq!(inbox::revive_unmatched(&mut tx, &CustomerId::new("cus_eve"), later).await.unwrap(), 0);
        assert_eq!(inbox::revive_unmatched(&mut tx, &CustomerId::new("cus_ada"), later).await.unwrap(), 1);
        tx.commit().await.unwrap();

        assert_eq!(inbox::next_due(&store.db).await.unwrap(), Some(later));
        let claimed = claim(&store, "worker", later, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_1"], "what was done stays done");
        assert_eq!(claimed[0].attempts, 0, "waiting was not its fault");
    }

    /// Somebody looked for the account, found none, and says so after it was linked.
    async fn an_event_whose_customer_is_linked_meanwhile_is_not_left_unmatched(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&store, "worker", NOW, 10).await.len(), 1);
        revive(&store).await;
        settle(&store, "evt_1", EventState::Unmatched).await;
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_1"]);
        settle(&store, "evt_1", EventState::Done).await;
        assert_eq!(standing(&store, "evt_1").await.0, EventState::Done);
    }

    /// The same, but the link comes before the one who found none has committed.
    async fn a_link_waits_for_those_who_are_saying_that_there_is_none(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&store, "worker", NOW, 10).await.len(), 1);
        let mut tx = store.db.begin().await.unwrap();
        inbox::settle(&mut tx, &EventId::new("evt_1"), EventState::Unmatched, NOW).await.unwrap();

        let linking = tokio::spawn({
            let store = store.clone();
            async move { revive(&store).await }
        });
        store.until_waiting(&linking).await;
        tx.commit().await.unwrap();
        linking.await.unwrap();
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn what_is_done_stays_done(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        settle(&store, "evt_1", EventState::Done).await;
        for state in [EventState::Unmatched, EventState::Ignored, EventState::Pending] {
            settle(&store, "evt_1", state).await;
        }
        postpone(&store, "evt_1", EventState::Parked, NOW).await;
        assert_eq!(standing(&store, "evt_1").await, (EventState::Done, 0, None));
        assert!(claim(&store, "worker", NOW.plus_days(1), 10).await.is_empty());
    }

    async fn an_event_settled_in_a_transaction_that_fails_is_still_to_do(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        let mut tx = store.db.begin().await.unwrap();
        inbox::settle(&mut tx, &EventId::new("evt_1"), EventState::Done, NOW).await.unwrap();
        drop(tx);
        assert_eq!(claim(&store, "worker", NOW, 10).await.len(), 1);
    }

    async fn whatever_became_of_an_event_it_can_be_replayed(store) {
        for (id, state) in [("evt_parked", EventState::Parked), ("evt_pending", EventState::Pending)] {
            receive(&store, id, EventState::Pending).await;
            claim(&store, "worker", NOW, 10).await;
            postpone(&store, id, state, NOW.plus_days(1)).await;
        }
        for (id, state) in [("evt_done", EventState::Done), ("evt_unmatched", EventState::Unmatched)] {
            receive(&store, id, EventState::Pending).await;
            claim(&store, "worker", NOW, 10).await;
            settle(&store, id, state).await;
        }
        receive(&store, "evt_ignored", EventState::Ignored).await;
        assert!(claim(&store, "worker", NOW, 10).await.is_empty());

        for id in ["evt_parked", "evt_pending", "evt_done", "evt_unmatched"] {
            assert!(replay(&store, id).await, "{id}");
        }
        assert!(!replay(&store, "evt_ignored").await, "it changes nothing here");
        assert!(!replay(&store, "evt_none").await);
        let claimed = claim(&store, "worker", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_done", "evt_parked", "evt_pending", "evt_unmatched"]);
        assert!(claimed.iter().all(|event| event.attempts == 0), "all its tries are before it");
    }

    async fn events_are_listed_newest_first_and_by_state(store) {
        for id in ["evt_a", "evt_b", "evt_c"] {
            receive(&store, id, EventState::Pending).await;
        }
        claim(&store, "worker", NOW, 1).await;
        postpone(&store, "evt_a", EventState::Parked, NOW).await;
        let listed = async |state, most| -> Vec<String> {
            inbox::list(&store.db, state, most).await.unwrap().into_iter().map(|event| event.event_id).collect()
        };
        assert_eq!(listed(None, 10).await, ["evt_c", "evt_b", "evt_a"]);
        assert_eq!(listed(None, 2).await, ["evt_c", "evt_b"]);
        assert_eq!(listed(Some(EventState::Pending), 10).await, ["evt_c", "evt_b"]);
        assert_eq!(listed(Some(EventState::Parked), 10).await, ["evt_a"]);
        assert!(listed(Some(EventState::Done), 10).await.is_empty());

        let parked = inbox::list(&store.db, Some(EventState::Parked), 1).await.unwrap().remove(0);
        assert_eq!((parked.state.as_str(), parked.attempts, parked.received_at), ("parked", 1, NOW.0));
        assert_eq!((parked.subject.as_deref(), parked.customer_id.as_deref()), (Some("sub_1"), Some("cus_ada")));
        assert_eq!(parked.last_error.as_deref(), Some("Stripe is down"));
    }

    async fn the_bytes_that_were_signed_are_kept(store) {
        receive(&store, "evt_1", EventState::Ignored).await;
        let payload = inbox::payload(&store.db, &EventId::new("evt_1")).await.unwrap();
        assert_eq!(payload.as_deref(), Some(r#"{"id":"evt"}"#));
        assert_eq!(inbox::payload(&store.db, &EventId::new("evt_none")).await.unwrap(), None);
    }

    async fn an_unknown_event_has_no_standing(store) {
        assert!(inbox::standing(&store.db, &EventId::new("evt_none")).await.unwrap().is_none());
        settle(&store, "evt_none", EventState::Done).await;
        postpone(&store, "evt_none", EventState::Parked, NOW).await;
        assert_eq!(inbox::count(&store.db).await.unwrap(), 0);
    }
}
