//! Events are stored once, held by one worker at a time, and settled once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use billing::{AccountId, CustomerId, EventId, Timestamp};
use engine::clock::Clock;
use engine::store::inbox::{
    self, Claimed, EventFilter, EventState, EventSummary, Lease, NewEvent, Next, StateCount, UnmatchedCustomer,
};
use engine::store::{Cursor, customers};
use engine::tasks::sweeper;
use engine::{Db, ids};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::databases::{TestDatabase, concurrently, on_postgres};
use crate::samples::{NOW, event};

const LEASE: i64 = 120;

/// An event about `cus_ada` that Stripe created five seconds before it is received.
#[derive(Clone, Copy)]
struct Delivery<'a> {
    id: &'a str,
    kind: &'a str,
    subject: Option<&'a str>,
    customer: Option<&'a str>,
    state: EventState,
    created: Timestamp,
    received: Timestamp,
}

impl<'a> Delivery<'a> {
    /// An event with its own subject.
    fn new(id: &'a str) -> Self {
        Self {
            id,
            kind: "customer.subscription.updated",
            subject: Some(id),
            customer: Some("cus_ada"),
            state: EventState::Pending,
            created: NOW.plus_seconds(-5),
            received: NOW,
        }
    }

    fn about(id: &'a str, subject: &'a str) -> Self {
        Self { subject: Some(subject), ..Self::new(id) }
    }
}

/// Stores an event, and returns whether it is new.
async fn deliver(database: &TestDatabase, delivery: Delivery<'_>) -> bool {
    let row = NewEvent {
        id: EventId::new(delivery.id),
        kind: delivery.kind.to_owned(),
        api_version: Some("2026-09-30.endive".to_owned()),
        created: delivery.created,
        subject: delivery.subject.map(str::to_owned),
        customer: delivery.customer.map(str::to_owned),
        payload: r#"{"id":"evt"}"#.to_owned(),
        state: delivery.state,
        received_at: delivery.received,
    };
    let mut tx = database.db.begin().await.unwrap();
    let new = inbox::insert(&mut tx, &[row]).await.unwrap();
    tx.commit().await.unwrap();
    new.contains(delivery.id)
}

async fn receive(database: &TestDatabase, id: &str, state: EventState) -> bool {
    deliver(database, Delivery { state, ..Delivery::new(id) }).await
}

async fn claim(database: &TestDatabase, owner: &str, now: Timestamp, limit: i64) -> Vec<Claimed> {
    inbox::claim(&database.db, owner, now, now.plus_seconds(LEASE), limit).await.unwrap()
}

fn ids_of(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|event| event.event_id.as_str()).collect()
}

/// The lease on an event; one without an owner if no worker holds it.
async fn holding(database: &TestDatabase, id: &str) -> Lease {
    let owners = database.texts(&format!("SELECT lease_owner FROM webhook_event WHERE event_id = '{id}'")).await;
    let event = EventId::new(id);
    let attempt = inbox::by_id(&database.db, &event).await.unwrap().map_or(0, |event| event.attempts);
    Lease { event, owner: owners.into_iter().flatten().next().unwrap_or_default(), attempt }
}

async fn settle(database: &TestDatabase, id: &str, state: EventState) {
    assert!(settles(database, &holding(database, id).await, state).await);
}

/// Settles an event under a lease, and returns whether the lease still allowed it.
async fn settles(database: &TestDatabase, lease: &Lease, state: EventState) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let is_held = inbox::settle(&mut tx, std::slice::from_ref(lease), state, None, NOW).await.unwrap().is_none();
    tx.commit().await.unwrap();
    is_held
}

async fn retry(database: &TestDatabase, id: &str, at: Timestamp) {
    fail(database, &holding(database, id).await, Next::Retry(at)).await;
}

async fn park(database: &TestDatabase, id: &str) {
    fail(database, &holding(database, id).await, Next::Park).await;
}

/// Records a failed attempt under a lease.
async fn fail(database: &TestDatabase, lease: &Lease, next: Next) {
    let mut tx = database.db.begin().await.unwrap();
    inbox::reschedule(&mut tx, &[(lease.clone(), next)], "Stripe is down").await.unwrap();
    tx.commit().await.unwrap();
}

/// Revives the events of `cus_ada`, as linking it does.
async fn revive(database: &TestDatabase) {
    let mut tx = database.db.begin().await.unwrap();
    inbox::revive_of_customer(&mut tx, &CustomerId::new("cus_ada"), NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn replay(database: &TestDatabase, id: &str) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let replayed = inbox::replay(&mut tx, &EventId::new(id), NOW).await.unwrap();
    tx.commit().await.unwrap();
    replayed
}

async fn state_of(database: &TestDatabase, id: &str) -> (EventState, i64, Option<String>) {
    let event = inbox::by_id(&database.db, &EventId::new(id)).await.unwrap().expect("the event is stored");
    (event.state, event.attempts, event.last_error)
}

async fn renew(database: &TestDatabase, lease: &Lease, now: Timestamp) {
    inbox::renew(&database.db, &[lease], now, now.plus_seconds(LEASE)).await.unwrap();
}

/// The events that match a filter, newest first.
async fn list(database: &TestDatabase, state: Option<EventState>, about: &str) -> Vec<EventSummary> {
    let filter = EventFilter { state, about: Some(about.to_owned()).filter(|about| !about.is_empty()) };
    inbox::list(&database.db, &filter, &Cursor::start(), 100).await.unwrap()
}

async fn listed(database: &TestDatabase, state: Option<EventState>, about: &str) -> Vec<String> {
    list(database, state, about).await.into_iter().map(|event| event.id.to_string()).collect()
}

/// The number of stored events.
async fn count(db: &Db) -> i64 {
    inbox::count_by_state(db).await.unwrap().into_iter().map(|count| count.events).sum()
}

/// A worker's treatment of the events it has claimed.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Settle,
    Reschedule,
}

/// Events about a few subjects, and workers that claim them in batches.
#[derive(Clone, Debug)]
struct Workload {
    subjects: Vec<u8>,
    workers: Vec<Vec<(i64, Ending)>>,
}

fn workload() -> impl Strategy<Value = Workload> {
    let ending = prop_oneof![Just(Ending::Settle), Just(Ending::Reschedule)];
    let turns = prop::collection::vec((1_i64..6, ending), 0..4).prop_map(|mut turns| {
        // A worker that settles nothing would never end.
        turns.push((3, Ending::Settle));
        turns
    });
    let subjects = prop::collection::vec(0_u8..4, 30..40);
    (subjects, prop::collection::vec(turns, 6)).prop_map(|(subjects, workers)| Workload { subjects, workers })
}

fn some_workloads() -> Vec<Workload> {
    let mut runner = TestRunner::default();
    (0..6).map(|_| workload().new_tree(&mut runner).expect("nothing is rejected").current()).collect()
}

/// The subjects that a worker holds.
type Held = Arc<Mutex<BTreeSet<String>>>;

/// Works until nothing is pending, and fails if it gets a subject that another worker holds.
async fn work(node: Db, owner: String, turns: Vec<(i64, Ending)>, held: Held) {
    for (limit, ending) in turns.into_iter().cycle() {
        let claimed = inbox::claim(&node, &owner, NOW, NOW.plus_seconds(LEASE), limit).await.unwrap();
        if claimed.is_empty() {
            if inbox::next_due(&node).await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        }
        let subjects: BTreeSet<String> = claimed.iter().map(|event| event.subject.clone()).collect();
        for subject in &subjects {
            assert!(
                held.lock().await.insert(subject.clone()),
                "{owner} was given {subject}, which another worker holds"
            );
        }
        // Work that takes a while.
        count(&node).await;
        for subject in &subjects {
            held.lock().await.remove(subject);
        }
        let mut tx = node.begin().await.unwrap();
        for event in &claimed {
            let lease = event.lease(&owner);
            match ending {
                Ending::Settle => {
                    assert_eq!(inbox::settle(&mut tx, &[lease], EventState::Done, None, NOW).await.unwrap(), None);
                }
                Ending::Reschedule => {
                    inbox::reschedule(&mut tx, &[(lease, Next::Retry(NOW))], "later").await.unwrap();
                }
            }
        }
        tx.commit().await.unwrap();
    }
}

on_both_databases! {
    async fn an_attempt_that_an_outage_prevented_does_not_count(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        for attempt in 1..=3 {
            let [claimed] = &claim(&database, "a", NOW, 10).await[..] else { panic!("it is due") };
            assert_eq!((claimed.attempts, claimed.tries()), (attempt, 1));
            fail(&database, &claimed.lease("a"), Next::Postpone(NOW)).await;
        }
        let postponed = inbox::postponed(&database.db).await.unwrap();
        assert_eq!((postponed.events, postponed.since), (1, Some(NOW.0)));
        assert_eq!(postponed.reason.as_deref(), Some("Stripe is down"));
        let claimed = claim(&database, "a", NOW, 10).await.remove(0);
        settle(&database, "evt_1", EventState::Done).await;
        assert_eq!(inbox::postponed(&database.db).await.unwrap().events, 0);
        fail(&database, &claimed.lease("a"), Next::Postpone(NOW)).await;
        assert_eq!(state_of(&database, "evt_1").await.0, EventState::Done);
    }

    async fn every_parked_event_can_be_made_due_again(database) {
        for id in ["evt_1", "evt_2", "evt_3"] {
            receive(&database, id, EventState::Pending).await;
        }
        assert_eq!(claim(&database, "a", NOW, 10).await.len(), 3);
        settle(&database, "evt_3", EventState::Done).await;
        for id in ["evt_1", "evt_2"] {
            park(&database, id).await;
        }
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::replay_parked(&mut tx, NOW).await.unwrap(), 2);
        tx.commit().await.unwrap();
        let due = claim(&database, "a", NOW, 10).await;
        assert_eq!(ids_of(&due), ["evt_1", "evt_2"]);
        assert!(due.iter().all(|event| event.tries() == 1), "attempts start over");
    }

    async fn an_event_is_stored_once(database) {
        assert!(receive(&database, "evt_1", EventState::Pending).await);
        assert!(!receive(&database, "evt_1", EventState::Pending).await);
        assert_eq!(count(&database.db).await, 1);

        settle(&database, "evt_1", EventState::Done).await;
        assert!(!receive(&database, "evt_1", EventState::Pending).await, "delivered again after it was applied");
        assert_eq!(state_of(&database, "evt_1").await, (EventState::Done, 0, None));
    }

    async fn a_write_of_many_events_returns_the_new_ones(database) {
        for id in ["evt_007", "evt_050"] {
            receive(&database, id, EventState::Pending).await;
        }
        // More than one statement takes, sorted, and some of them twice.
        let mut ids: Vec<EventId> = (0..100).map(|n| EventId::new(format!("evt_{n:03}"))).collect();
        ids.extend(["evt_003", "evt_050", "evt_099"].map(EventId::new));
        ids.sort();
        let rows: Vec<NewEvent> = ids.iter().map(|id| event(id.as_str())).collect();
        let mut tx = database.db.begin().await.unwrap();
        let new = inbox::insert(&mut tx, &rows).await.unwrap();
        assert!(inbox::insert(&mut tx, &rows).await.unwrap().is_empty(), "all of them are stored");
        assert!(inbox::insert(&mut tx, &[]).await.unwrap().is_empty());
        tx.commit().await.unwrap();
        assert_eq!(new.len(), 98);
        assert!(!new.contains("evt_007") && !new.contains("evt_050"), "they were stored before");
        assert_eq!(count(&database.db).await, 100);
    }

    async fn twenty_concurrent_deliveries_of_one_event_are_one_row(database) {
        let new = concurrently(20, |_| {
            let database = database.clone();
            async move { receive(&database, "evt_1", EventState::Pending).await }
        })
        .await;
        assert_eq!(new.iter().filter(|new| **new).count(), 1);
        assert_eq!(count(&database.db).await, 1);
    }

    async fn a_claimed_event_is_as_it_was_delivered(database) {
        deliver(&database, Delivery::about("evt_1", "sub_1")).await;
        let claimed = claim(&database, "worker", NOW, 10).await;
        let [event] = claimed.as_slice() else { panic!("{claimed:?}") };
        assert_eq!(event.event_id, "evt_1");
        assert_eq!(event.kind, "customer.subscription.updated");
        assert_eq!((event.subject.as_str(), event.customer_id.as_deref()), ("sub_1", Some("cus_ada")));
        assert_eq!(event.payload, r#"{"id":"evt"}"#);
        assert_eq!((event.created, event.attempts), (NOW.0 - 5, 1), "this is the first attempt");
    }

    async fn an_ignored_event_is_kept_and_never_claimed(database) {
        receive(&database, "evt_1", EventState::Ignored).await;
        assert!(claim(&database, "worker", NOW, 10).await.is_empty());
        assert_eq!(state_of(&database, "evt_1").await.0, EventState::Ignored);
        assert_eq!(inbox::next_due(&database.db).await.unwrap(), None);
    }

    async fn four_workers_share_a_hundred_events_without_overlap(database) {
        for n in 0..100 {
            receive(&database, &format!("evt_{n:03}"), EventState::Pending).await;
        }
        let claimed = concurrently(4, |worker| {
            let database = database.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let batch = claim(&database, &format!("worker {worker}"), NOW, 7).await;
                    if batch.is_empty() {
                        return mine;
                    }
                    mine.extend(batch.into_iter().map(|event| event.event_id));
                }
            }
        })
        .await
        .concat();
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), claimed.len(), "an event was claimed by two workers");
        assert_eq!(claimed.len(), 100, "a worker found no due event although there was one");
    }

    async fn an_expired_lease_lets_another_worker_claim_the_event(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&database, "killed", NOW, 10).await.len(), 1);
        let until = NOW.plus_seconds(LEASE);
        assert_eq!(inbox::next_due(&database.db).await.unwrap(), Some(until), "when the lease ends, not before");
        assert!(claim(&database, "other", until.plus_seconds(-1), 10).await.is_empty());
        let claimed = claim(&database, "other", until, 10).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].attempts, 2, "the killed worker's attempt counts");
    }

    /// A single node has just started: no earlier worker is alive.
    async fn all_leases_can_be_released_together(database) {
        for id in ["evt_a", "evt_b", "evt_c"] {
            receive(&database, id, EventState::Pending).await;
        }
        assert_eq!(claim(&database, "killed", NOW, 1).await.len(), 1);
        assert_eq!(claim(&database, "killed too", NOW, 1).await.len(), 1);
        settle(&database, "evt_b", EventState::Done).await;
        let mut tx = database.db.begin().await.unwrap();
        inbox::release_all(&mut tx).await.unwrap();
        tx.commit().await.unwrap();

        let claimed = claim(&database, "started", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_a", "evt_c"], "an event that is done stays done");
        assert_eq!(
            claimed.iter().map(|event| event.attempts).collect::<Vec<_>>(),
            [2, 1],
            "an attempt that was killed counts"
        );
    }

    async fn a_rescheduled_event_waits_and_keeps_its_reason(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        claim(&database, "worker", NOW, 10).await;
        let next = NOW.plus_seconds(4);
        retry(&database, "evt_1", next).await;
        assert_eq!(state_of(&database, "evt_1").await, (EventState::Pending, 1, Some("Stripe is down".to_owned())));
        assert_eq!(inbox::next_due(&database.db).await.unwrap(), Some(next));
        assert!(claim(&database, "worker", next.plus_seconds(-1), 10).await.is_empty());
        let claimed = claim(&database, "worker", next, 10).await;
        assert_eq!((claimed.len(), claimed[0].attempts), (1, 2));

        settle(&database, "evt_1", EventState::Done).await;
        assert_eq!(
            state_of(&database, "evt_1").await,
            (EventState::Done, 2, None),
            "an error that is over is not shown"
        );
    }

    async fn many_events_are_renewed_and_rescheduled_together(database) {
        for n in 0..100 {
            deliver(&database, Delivery::about(&format!("evt_{n:03}"), "sub_1")).await;
        }
        let leases: Vec<Lease> = claim(&database, "worker", NOW, 1).await.iter().map(|event| event.lease("worker")).collect();
        assert_eq!(leases.len(), 100);
        let (renewed, until) = (NOW.plus_seconds(LEASE - 1), NOW.plus_seconds(LEASE * 2));
        inbox::renew(&database.db, &leases.iter().collect::<Vec<_>>(), renewed, until).await.unwrap();
        assert!(claim(&database, "other", until.plus_seconds(-1), 10).await.is_empty());

        let next = [Next::Retry(until), Next::Postpone(until), Next::Park];
        let failed: Vec<(Lease, Next)> = leases.into_iter().zip(next.into_iter().cycle()).collect();
        let mut tx = database.db.begin().await.unwrap();
        inbox::reschedule(&mut tx, &failed, "Stripe is down").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(list(&database, Some(EventState::Parked), "").await.len(), 33);
        assert_eq!(inbox::postponed(&database.db).await.unwrap().events, 33);
        let claimed = claim(&database, "other", until, 10).await;
        assert_eq!(claimed.len(), 67);
        assert!(claimed.iter().all(|event| event.attempts == 2));
    }

    /// Each worker fails and reschedules the event: no other may claim it before it is due.
    async fn workers_that_race_for_a_failing_event_try_it_once_per_due_time(database) {
        for round in 0..20 {
            let id = format!("evt_{round}");
            receive(&database, &id, EventState::Pending).await;
            let tries: usize = concurrently(4, |_| {
                let (database, id) = (database.clone(), id.clone());
                async move {
                    let claimed = claim(&database, &ids::new_id(), NOW, 10).await;
                    for event in &claimed {
                        retry(&database, &event.event_id, NOW.plus_days(1)).await;
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

    async fn a_parked_event_waits_for_an_operator(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        claim(&database, "worker", NOW, 10).await;
        park(&database, "evt_1").await;
        assert_eq!(state_of(&database, "evt_1").await, (EventState::Parked, 1, Some("Stripe is down".to_owned())));
        assert!(claim(&database, "worker", NOW.plus_days(365), 10).await.is_empty());
        assert_eq!(inbox::next_due(&database.db).await.unwrap(), None);
    }

    async fn events_of_an_unlinked_customer_are_due_again_when_it_is_linked(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        receive(&database, "evt_2", EventState::Pending).await;
        claim(&database, "worker", NOW, 10).await;
        settle(&database, "evt_1", EventState::Unmatched).await;
        settle(&database, "evt_2", EventState::Done).await;
        assert!(claim(&database, "worker", NOW.plus_days(1), 10).await.is_empty());

        let later = NOW.plus_days(2);
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::revive_of_customer(&mut tx, &CustomerId::new("cus_eve"), later).await.unwrap(), 0);
        assert_eq!(inbox::revive_of_customer(&mut tx, &CustomerId::new("cus_ada"), later).await.unwrap(), 1);
        tx.commit().await.unwrap();

        assert_eq!(inbox::next_due(&database.db).await.unwrap(), Some(later));
        let claimed = claim(&database, "worker", later, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_1"], "a done event stays done");
        assert_eq!(claimed[0].attempts, 1, "waiting was not a failure");
    }

    /// A worker looked for the account, found none, and settles the event after the link.
    async fn an_event_whose_customer_is_linked_during_its_work_does_not_stay_unmatched(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&database, "worker", NOW, 10).await.len(), 1);
        revive(&database).await;
        settle(&database, "evt_1", EventState::Unmatched).await;
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_1"]);
        settle(&database, "evt_1", EventState::Done).await;
        assert_eq!(state_of(&database, "evt_1").await.0, EventState::Done);
    }

    /// The same, but the link comes before that worker has committed.
    async fn a_link_waits_for_a_transaction_that_settles_an_event_as_unmatched(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        let lease = claim(&database, "worker", NOW, 10).await[0].lease("worker");
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::settle(&mut tx, std::slice::from_ref(&lease), EventState::Unmatched, None, NOW).await.unwrap(), None);

        let linking = tokio::spawn({
            let database = database.clone();
            async move { revive(&database).await }
        });
        database.until_waiting(&linking).await;
        tx.commit().await.unwrap();
        linking.await.unwrap();
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn an_event_that_is_done_stays_done(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        settle(&database, "evt_1", EventState::Done).await;
        for state in [EventState::Unmatched, EventState::Ignored, EventState::Pending] {
            settle(&database, "evt_1", state).await;
        }
        park(&database, "evt_1").await;
        assert_eq!(state_of(&database, "evt_1").await, (EventState::Done, 0, None));
        assert!(claim(&database, "worker", NOW.plus_days(1), 10).await.is_empty());
    }

    async fn an_event_settled_in_a_transaction_that_is_rolled_back_is_still_pending(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        let held = holding(&database, "evt_1").await;
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::settle(&mut tx, std::slice::from_ref(&held), EventState::Done, None, NOW).await.unwrap(), None);
        drop(tx);
        assert_eq!(claim(&database, "worker", NOW, 10).await.len(), 1);
    }

    async fn an_event_in_any_state_but_ignored_can_be_replayed(database) {
        for (id, next) in [("evt_parked", Next::Park), ("evt_pending", Next::Retry(NOW.plus_days(1)))] {
            receive(&database, id, EventState::Pending).await;
            claim(&database, "worker", NOW, 10).await;
            fail(&database, &holding(&database, id).await, next).await;
        }
        for (id, state) in [("evt_done", EventState::Done), ("evt_unmatched", EventState::Unmatched)] {
            receive(&database, id, EventState::Pending).await;
            claim(&database, "worker", NOW, 10).await;
            settle(&database, id, state).await;
        }
        receive(&database, "evt_ignored", EventState::Ignored).await;
        assert!(claim(&database, "worker", NOW, 10).await.is_empty());

        for id in ["evt_parked", "evt_pending", "evt_done", "evt_unmatched"] {
            assert!(replay(&database, id).await, "{id}");
        }
        assert!(!replay(&database, "evt_ignored").await, "it changes nothing here");
        assert!(!replay(&database, "evt_none").await);
        let claimed = claim(&database, "worker", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_done", "evt_parked", "evt_pending", "evt_unmatched"]);
        assert!(claimed.iter().all(|event| event.attempts == 1), "attempts start over");
    }

    async fn the_signed_bytes_are_kept(database) {
        receive(&database, "evt_1", EventState::Ignored).await;
        let payload = inbox::payload(&database.db, &EventId::new("evt_1")).await.unwrap();
        assert_eq!(payload.as_deref(), Some(r#"{"id":"evt"}"#));
        assert_eq!(inbox::payload(&database.db, &EventId::new("evt_none")).await.unwrap(), None);
    }

    async fn the_stored_ones_of_many_events_are_known(database) {
        for (id, state) in
            [("evt_1", EventState::Pending), ("evt_2", EventState::Ignored), ("evt_3", EventState::Pending)]
        {
            receive(&database, id, state).await;
        }
        settle(&database, "evt_1", EventState::Done).await;
        let mut known: Vec<String> =
            inbox::known(&database.db, &["evt_1", "evt_2", "evt_none", "evt'"]).await.unwrap().into_iter().collect();
        known.sort();
        assert_eq!(known, ["evt_1", "evt_2"]);
        assert!(inbox::known(&database.db, &[]).await.unwrap().is_empty());
        let listed = inbox::by_id(&database.db, &EventId::new("evt_2")).await.unwrap().expect("it is stored");
        assert_eq!((listed.id.as_str(), listed.state), ("evt_2", EventState::Ignored));
        assert!(inbox::by_id(&database.db, &EventId::new("evt_none")).await.unwrap().is_none());
    }

    async fn an_unknown_event_cannot_be_settled(database) {
        assert!(inbox::by_id(&database.db, &EventId::new("evt_none")).await.unwrap().is_none());
        settle(&database, "evt_none", EventState::Done).await;
        park(&database, "evt_none").await;
        assert_eq!(count(&database.db).await, 0);
    }

    async fn events_claimed_together_are_in_the_order_in_which_they_happened(database) {
        // Delivered in another order; two of them happened in one second.
        for (id, ago) in [("evt_c", 1), ("evt_b", 3), ("evt_a", 3), ("evt_d", 9)] {
            deliver(&database, Delivery { created: NOW.plus_seconds(-ago), ..Delivery::about(id, "sub_1") }).await;
        }
        assert_eq!(ids_of(&claim(&database, "worker", NOW, 10).await), ["evt_d", "evt_a", "evt_b", "evt_c"]);
    }

    async fn the_events_that_have_been_due_longest_are_claimed_first_up_to_the_limit(database) {
        for (id, after) in [("evt_a", 3), ("evt_b", 1), ("evt_c", 2), ("evt_d", 2), ("evt_later", 100)] {
            deliver(&database, Delivery { received: NOW.plus_seconds(after), ..Delivery::new(id) }).await;
        }
        let now = NOW.plus_seconds(10);
        assert_eq!(ids_of(&claim(&database, "worker", now, 2).await), ["evt_b", "evt_c"]);
        assert_eq!(ids_of(&claim(&database, "worker", now, 2).await), ["evt_a", "evt_d"]);
        assert!(claim(&database, "worker", now, 2).await.is_empty());
    }

    async fn a_subject_is_handled_by_one_worker_at_a_time(database) {
        for (id, subject) in [("evt_1", "sub_1"), ("evt_2", "sub_1"), ("evt_3", "sub_2")] {
            deliver(&database, Delivery::about(id, subject)).await;
        }
        assert_eq!(ids_of(&claim(&database, "one", NOW, 1).await), ["evt_1", "evt_2"], "all that are due");
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_3"]);
        deliver(&database, Delivery::about("evt_0", "sub_1")).await;
        assert!(claim(&database, "other", NOW, 10).await.is_empty(), "an event that arrives meanwhile waits too");
        assert!(claim(&database, "one", NOW, 10).await.is_empty(), "even for the worker that holds the subject");
        settle(&database, "evt_1", EventState::Done).await;
        assert!(claim(&database, "other", NOW, 10).await.is_empty(), "while one of its events is held");
        settle(&database, "evt_2", EventState::Done).await;
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_0"]);
    }

    async fn a_subject_is_free_again_whatever_the_outcome_of_its_event(database) {
        use EventState::{Done, Parked, Pending, Unmatched};
        for (turn, became) in [Done, Unmatched, Parked, Pending].into_iter().enumerate() {
            let (subject, first, second) = (format!("sub_{turn}"), format!("evt_{turn}_1"), format!("evt_{turn}_2"));
            deliver(&database, Delivery::about(&first, &subject)).await;
            assert_eq!(ids_of(&claim(&database, "one", NOW, 1).await), [first.as_str()]);
            deliver(&database, Delivery::about(&second, &subject)).await;
            assert!(claim(&database, "other", NOW, 10).await.is_empty());
            match became {
                Done | Unmatched => settle(&database, &first, became).await,
                Parked => park(&database, &first).await,
                _ => retry(&database, &first, NOW.plus_days(1)).await,
            }
            let free = claim(&database, "other", NOW, 10).await;
            assert!(ids_of(&free).contains(&second.as_str()), "{became:?}");
            for event in &free {
                settle(&database, &event.event_id, Done).await;
            }
        }
    }

    async fn a_subject_that_a_dead_worker_held_is_free_when_the_lease_ends(database) {
        deliver(&database, Delivery::about("evt_1", "sub_1")).await;
        deliver(&database, Delivery::about("evt_2", "sub_1")).await;
        assert_eq!(ids_of(&claim(&database, "killed", NOW, 1).await), ["evt_1", "evt_2"]);
        let until = NOW.plus_seconds(LEASE);
        assert!(claim(&database, "other", until.plus_seconds(-1), 10).await.is_empty());
        assert_eq!(ids_of(&claim(&database, "other", until, 10).await), ["evt_1", "evt_2"]);
    }

    /// So that a subject with a long history of events keeps neither the other subjects nor other writers waiting.
    async fn a_claim_of_a_busy_subject_is_bounded(database) {
        let row = |n: usize| NewEvent { id: EventId::new(format!("evt_{n:04}")), ..event("evt") };
        let rows: Vec<NewEvent> = (0..600).map(row).collect();
        let mut tx = database.db.begin().await.unwrap();
        inbox::insert(&mut tx, &rows).await.unwrap();
        tx.commit().await.unwrap();
        deliver(&database, Delivery::about("evt_other", "sub_other")).await;

        let claimed = claim(&database, "one", NOW, 1).await;
        assert_eq!(claimed.len(), 512);
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_other"], "the rest waits for its subject");
        let leases: Vec<Lease> = claimed.iter().map(|event| event.lease("one")).collect();
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::settle(&mut tx, &leases, EventState::Done, None, NOW).await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!(claim(&database, "other", NOW, 10).await.len(), 88);
    }

    async fn workers_on_two_nodes_never_hold_one_subject_together(database) {
        let other_node = database.another_node().await;
        for workload in some_workloads() {
            let (run, held) = (ids::new_id(), Held::default());
            let id = |n: usize| format!("evt_{run}_{n}");
            // Half of them are stored when work begins, the others arrive during it.
            let early = workload.subjects.len() / 2;
            let mut team = JoinSet::new();
            for (n, subject) in workload.subjects.iter().enumerate() {
                if n == early {
                    for (worker, turns) in workload.workers.iter().enumerate() {
                        let node = if worker % 2 == 0 { database.db.clone() } else { other_node.clone() };
                        team.spawn(work(node, format!("worker {worker}"), turns.clone(), held.clone()));
                    }
                }
                deliver(&database, Delivery::about(&id(n), &format!("sub_{run}_{subject}"))).await;
            }
            while let Some(done) = team.join_next().await {
                assert!(done.is_ok(), "{done:?} in {workload:?}");
            }
            // A worker ends as soon as it finds nothing pending.
            work(database.db.clone(), "last".to_owned(), vec![(64, Ending::Settle)], held).await;
            for n in 0..workload.subjects.len() {
                assert_eq!(state_of(&database, &id(n)).await.0, EventState::Done, "{workload:?}");
            }
        }
        other_node.close().await;
    }

    async fn a_renewed_lease_keeps_its_event(database) {
        deliver(&database, Delivery::about("evt_1", "sub_1")).await;
        deliver(&database, Delivery::about("evt_2", "sub_2")).await;
        let claimed = claim(&database, "slow", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_1", "evt_2"]);
        // It does not renew the lease on the second one.
        let renewed = NOW.plus_seconds(LEASE - 1);
        renew(&database, &claimed[0].lease("slow"), renewed).await;

        assert_eq!(ids_of(&claim(&database, "other", NOW.plus_seconds(LEASE), 10).await), ["evt_2"]);
        let until = renewed.plus_seconds(LEASE);
        assert!(!ids_of(&claim(&database, "other", until.plus_seconds(-1), 10).await).contains(&"evt_1"));
        assert!(ids_of(&claim(&database, "other", until, 10).await).contains(&"evt_1"));
    }

    async fn renewing_the_lease_of_a_settled_event_has_no_effect(database) {
        deliver(&database, Delivery::about("evt_1", "sub_1")).await;
        let lease = claim(&database, "worker", NOW, 10).await[0].lease("worker");
        settle(&database, "evt_1", EventState::Done).await;
        renew(&database, &lease, NOW).await;
        assert!(replay(&database, "evt_1").await);
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_1"]);
    }

    /// Another worker may hold it by then.
    async fn an_expired_lease_cannot_be_renewed(database) {
        deliver(&database, Delivery { received: NOW.plus_seconds(1), ..Delivery::about("evt_1", "sub_1") }).await;
        let began = NOW.plus_seconds(1);
        let stalled = claim(&database, "stalled", began, 1).await[0].lease("stalled");
        let over = began.plus_seconds(LEASE);
        renew(&database, &stalled, over).await;
        assert_eq!(ids_of(&claim(&database, "other", over, 1).await), ["evt_1"]);
    }

    /// A worker stalled for longer than its lease, and continues while another holds the event.
    async fn a_worker_that_lost_its_lease_settles_nothing(database) {
        for (event, next_owner) in [("evt_1", "other"), ("evt_2", "slow")] {
            receive(&database, event, EventState::Pending).await;
            let lost = claim(&database, "slow", NOW, 10).await[0].lease("slow");
            let later = NOW.plus_seconds(LEASE);
            let held = claim(&database, next_owner, later, 10).await[0].lease(next_owner);
            for state in [EventState::Done, EventState::Unmatched, EventState::Ignored] {
                assert!(!settles(&database, &lost, state).await, "{next_owner} holds it");
            }
            fail(&database, &lost, Next::Park).await;
            assert_eq!(state_of(&database, event).await, (EventState::Pending, 2, None));
            assert!(claim(&database, "third", later, 10).await.is_empty(), "{next_owner} still holds it");
            assert!(settles(&database, &held, EventState::Done).await);
            assert!(settles(&database, &lost, EventState::Done).await, "no worker holds it, and it is done");
        }
    }

    async fn a_failure_does_not_reschedule_an_event_that_was_just_made_due(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        let lease = claim(&database, "worker", NOW, 10).await[0].lease("worker");
        revive(&database).await;
        fail(&database, &lease, Next::Park).await;
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn an_event_that_a_worker_holds_is_replayed_by_that_worker(database) {
        receive(&database, "evt_1", EventState::Pending).await;
        let lease = claim(&database, "worker", NOW, 10).await[0].lease("worker");
        assert!(replay(&database, "evt_1").await);
        assert!(claim(&database, "other", NOW, 10).await.is_empty(), "two workers would hold it");
        assert!(settles(&database, &lease, EventState::Done).await);
        assert!(replay(&database, "evt_1").await);
        assert_eq!(ids_of(&claim(&database, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn the_customer_of_an_event_without_one_is_set_once(database) {
        deliver(&database, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        deliver(&database, Delivery { customer: Some("cus_eve"), ..Delivery::new("evt_eve") }).await;
        let events = ["evt_refund", "evt_eve", "evt_none"].map(EventId::new);
        inbox::set_customer(&database.db, &events, &CustomerId::new("cus_ada")).await.unwrap();
        inbox::set_customer(&database.db, &events, &CustomerId::new("cus_bob")).await.unwrap();
        assert_eq!(listed(&database, None, "cus_ada").await, ["evt_refund"]);
        assert_eq!(listed(&database, None, "cus_eve").await, ["evt_eve"], "the event has its own");
        assert!(listed(&database, None, "cus_bob").await.is_empty());
    }

    async fn an_event_whose_customer_was_set_is_due_again_when_that_customer_is_linked(database) {
        deliver(&database, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        claim(&database, "worker", NOW, 10).await;
        inbox::set_customer(&database.db, &[EventId::new("evt_refund")], &CustomerId::new("cus_ada")).await.unwrap();
        settle(&database, "evt_refund", EventState::Unmatched).await;
        revive(&database).await;
        assert_eq!(ids_of(&claim(&database, "worker", NOW, 10).await), ["evt_refund"]);
    }

    /// The link revives the customer's events before it can know that this is one of them.
    async fn an_event_whose_customer_is_set_while_it_is_being_linked_does_not_stay_unmatched(database) {
        let account = database.account("ada@example.com").await;
        deliver(&database, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        let lease = claim(&database, "worker", NOW, 10).await[0].lease("worker");

        let cus_ada = CustomerId::new("cus_ada");
        let mut linking = database.db.begin().await.unwrap();
        assert!(customers::link(&mut linking, &cus_ada, &account, false, NOW).await.unwrap());
        assert_eq!(inbox::revive_of_customer(&mut linking, &cus_ada, NOW).await.unwrap(), 0);
        let applying = tokio::spawn({
            let database = database.clone();
            async move {
                inbox::set_customer(&database.db, std::slice::from_ref(&lease.event), &cus_ada).await.unwrap();
                let mut tx = database.db.begin().await.unwrap();
                let found = customers::account_of(&mut tx, &cus_ada).await.unwrap();
                let state = if found.is_some() { EventState::Done } else { EventState::Unmatched };
                assert_eq!(inbox::settle(&mut tx, std::slice::from_ref(&lease), state, None, NOW).await.unwrap(), None);
                tx.commit().await.unwrap();
            }
        });
        database.until_waiting(&applying).await;
        linking.commit().await.unwrap();
        applying.await.unwrap();
        assert_eq!(state_of(&database, "evt_refund").await.0, EventState::Done);
    }

    /// The worker that looked before the link settles while the next one holds the event.
    async fn a_worker_that_finds_no_account_too_late_does_not_affect_the_next_one(database) {
        let account = database.account("ada@example.com").await;
        receive(&database, "evt_1", EventState::Pending).await;
        let early = claim(&database, "early", NOW, 10).await[0].lease("early");
        database.customer(&account, "cus_ada").await;
        revive(&database).await;
        assert_eq!(claim(&database, "late", NOW, 10).await.len(), 1);

        assert!(!settles(&database, &early, EventState::Unmatched).await);
        assert_eq!(state_of(&database, "evt_1").await.0, EventState::Pending);
        retry(&database, "evt_1", NOW.plus_seconds(4)).await;
        assert_eq!(ids_of(&claim(&database, "other", NOW.plus_seconds(4), 10).await), ["evt_1"]);
    }

    async fn a_link_revives_unmatched_events_only(database) {
        for (id, state) in [("evt_done", EventState::Done), ("evt_unmatched", EventState::Unmatched)] {
            receive(&database, id, EventState::Pending).await;
            claim(&database, "worker", NOW, 10).await;
            settle(&database, id, state).await;
        }
        receive(&database, "evt_parked", EventState::Pending).await;
        claim(&database, "worker", NOW, 10).await;
        park(&database, "evt_parked").await;
        receive(&database, "evt_ignored", EventState::Ignored).await;
        deliver(&database, Delivery { customer: Some("cus_eve"), ..Delivery::new("evt_eve") }).await;
        claim(&database, "worker", NOW, 10).await;
        settle(&database, "evt_eve", EventState::Unmatched).await;

        revive(&database).await;
        assert_eq!(ids_of(&claim(&database, "worker", NOW, 10).await), ["evt_unmatched"]);
    }

    async fn a_listed_event_is_complete(database) {
        let about = Delivery { kind: "refund.updated", ..Delivery::about("evt_1", "pi_1") };
        deliver(&database, about).await;
        claim(&database, "worker", NOW, 1).await;
        park(&database, "evt_1").await;
        let events = list(&database, None, "").await;
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("evt_1", "refund.updated"));
        assert_eq!((event.state, event.attempts, event.received_at), (EventState::Parked, 1, NOW));
        assert_eq!((event.subject.as_deref(), event.customer.as_deref()), (Some("pi_1"), Some("cus_ada")));
        assert_eq!(event.last_error.as_deref(), Some("Stripe is down"));
    }

    async fn events_are_listed_newest_first_and_filtered(database) {
        let paid = "invoice.paid";
        deliver(&database, Delivery { received: NOW, ..Delivery::about("evt_a", "sub_1") }).await;
        deliver(&database, Delivery { received: NOW.plus_seconds(2), kind: paid, ..Delivery::about("evt_b", "sub_1") })
            .await;
        deliver(&database, Delivery { received: NOW.plus_seconds(1), kind: paid, ..Delivery::about("evt_c", "sub_2") })
            .await;
        deliver(&database, Delivery { customer: Some("cus_eve"), ..Delivery::new("evt_d") }).await;
        settle(&database, "evt_c", EventState::Done).await;

        assert_eq!(listed(&database, None, "").await, ["evt_b", "evt_c", "evt_d", "evt_a"]);
        assert_eq!(listed(&database, Some(EventState::Pending), "").await, ["evt_b", "evt_d", "evt_a"]);
        assert_eq!(listed(&database, Some(EventState::Done), "").await, ["evt_c"]);
        assert!(listed(&database, Some(EventState::Parked), "").await.is_empty());
        for (about, events) in [
            (paid, &["evt_b", "evt_c"][..]),
            ("sub_1", &["evt_b", "evt_a"]),
            ("cus_ada", &["evt_b", "evt_c", "evt_a"]),
            ("cus_eve", &["evt_d"]),
            ("evt_c", &["evt_c"]),
            ("invoice", &[]),
            ("%", &[]),
        ] {
            assert_eq!(listed(&database, None, about).await, events, "{about}");
        }
        assert_eq!(listed(&database, Some(EventState::Pending), paid).await, ["evt_b"]);
        assert!(listed(&database, Some(EventState::Done), "sub_1").await.is_empty());
    }

    async fn pages_of_events_join_without_a_gap(database) {
        for n in 0..10 {
            let customer = if n % 5 == 0 { "cus_eve" } else { "cus_ada" };
            let received = NOW.plus_seconds(n / 4);
            deliver(&database, Delivery { customer: Some(customer), received, ..Delivery::new(&format!("evt_{n}")) })
                .await;
        }
        for about in ["", "cus_ada"] {
            let all = listed(&database, None, about).await;
            let filter = EventFilter { state: None, about: Some(about.to_owned()) };
            for size in [1, 2, 3, 10] {
                let (mut after, mut seen) = (Cursor::start(), Vec::new());
                loop {
                    let page = inbox::list(&database.db, &filter, &after, size).await.unwrap();
                    let Some(last) = page.last() else { break };
                    after = Cursor { at: last.received_at, key: last.id.to_string() };
                    seen.extend(page.into_iter().map(|event| event.id.to_string()));
                }
                assert_eq!(seen, all, "in pages of {size}");
            }
        }
    }

    async fn events_are_counted_by_state(database) {
        assert!(inbox::count_by_state(&database.db).await.unwrap().is_empty());
        assert_eq!(inbox::oldest_pending(&database.db).await.unwrap(), None);
        for (id, received) in [("evt_a", 1), ("evt_b", 2), ("evt_c", 3), ("evt_d", 4)] {
            deliver(&database, Delivery { received: NOW.plus_seconds(received), ..Delivery::new(id) }).await;
        }
        receive(&database, "evt_ignored", EventState::Ignored).await;
        settle(&database, "evt_a", EventState::Done).await;
        retry(&database, "evt_b", NOW.plus_days(1)).await;

        let counts = inbox::count_by_state(&database.db).await.unwrap();
        let of = |state, events| StateCount { state, events };
        assert_eq!(counts, [of(EventState::Done, 1), of(EventState::Ignored, 1), of(EventState::Pending, 3)]);
        let oldest = inbox::oldest_pending(&database.db).await.unwrap();
        assert_eq!(oldest, Some(NOW.plus_seconds(2)), "since it was received, not since it was rescheduled");
        assert_eq!(count(&database.db).await, 5);
    }

    async fn unlinked_customers_are_listed_with_the_number_of_their_events(database) {
        for (id, customer) in [("evt_1", "cus_b"), ("evt_2", "cus_a"), ("evt_3", "cus_b"), ("evt_4", "cus_c")] {
            deliver(&database, Delivery { customer: Some(customer), ..Delivery::new(id) }).await;
        }
        claim(&database, "worker", NOW, 10).await;
        for id in ["evt_1", "evt_2", "evt_3"] {
            settle(&database, id, EventState::Unmatched).await;
        }
        let waiting = inbox::unmatched_customers(&database.db).await.unwrap();
        let of = |customer, events| UnmatchedCustomer { customer: CustomerId::new(customer), events };
        assert_eq!(waiting, [of("cus_a", 1), of("cus_b", 2)]);
    }

    async fn an_event_for_a_missing_account_is_due_again_when_that_account_is_created(database) {
        for (id, hint) in [("evt_ada", Some("ada")), ("evt_eve", Some("eve")), ("evt_none", None)] {
            receive(&database, id, EventState::Pending).await;
            claim(&database, "worker", NOW, 10).await;
            let mut tx = database.db.begin().await.unwrap();
            let lease = holding(&database, id).await;
            assert_eq!(inbox::settle(&mut tx, std::slice::from_ref(&lease), EventState::Unmatched, hint, NOW).await.unwrap(), None);
            tx.commit().await.unwrap();
        }
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::revive_for_account(&mut tx, &AccountId::new("ada"), NOW).await.unwrap(), 1);
        assert_eq!(inbox::revive_for_account(&mut tx, &AccountId::new("ada"), NOW).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(ids_of(&claim(&database, "worker", NOW, 10).await), ["evt_ada"]);
    }

    async fn old_events_lose_their_payloads_and_then_their_rows_unless_they_wait_for_a_decision(database) {
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        for n in 0..600 {
            receive(&database, &format!("evt_ignored_{n}"), EventState::Ignored).await;
        }
        for state in ["done", "unmatched", "parked", "pending"] {
            let id = format!("evt_{state}");
            receive(&database, &id, EventState::Pending).await;
            database.execute(&format!("UPDATE webhook_event SET state = '{state}' WHERE event_id = '{id}'")).await;
        }
        let with_payload = async || database.texts("SELECT event_id FROM webhook_event WHERE payload <> '' ORDER BY event_id").await;
        clock.set(NOW.plus_days(90));
        sweeper::prune(&core).await.unwrap();
        assert_eq!(with_payload().await.len(), 604, "payloads are kept for 90 days");
        clock.set(NOW.plus_days(90).plus_seconds(1));
        sweeper::prune(&core).await.unwrap();
        let kept = ["evt_parked", "evt_pending", "evt_unmatched"];
        assert_eq!(with_payload().await, kept.map(|id| Some(id.to_owned())));
        assert!(!replay(&database, "evt_done").await, "it can no longer be applied");

        clock.set(NOW.plus_days(400));
        sweeper::prune(&core).await.unwrap();
        assert_eq!(count(&database.db).await, 604, "rows are kept for 400 days");
        clock.set(NOW.plus_days(400).plus_seconds(1));
        sweeper::prune(&core).await.unwrap();
        let left = database.texts("SELECT event_id FROM webhook_event ORDER BY event_id").await;
        assert_eq!(left, ["evt_parked", "evt_pending"].map(|id| Some(id.to_owned())));
    }

    async fn events_are_deleted_in_batches(database) {
        for n in 0..5 {
            receive(&database, &format!("evt_{n}"), EventState::Ignored).await;
        }
        let mut pruned = Vec::new();
        for _ in 0..3 {
            let mut tx = database.db.begin().await.unwrap();
            pruned.push(inbox::prune(&mut tx, NOW.plus_days(1), 2).await.unwrap());
            tx.commit().await.unwrap();
        }
        assert_eq!(pruned, [2, 2, 1]);
    }

    async fn an_event_in_an_unknown_state_is_an_error(database) {
        if database.db.is_shared() {
            database.execute("ALTER TABLE webhook_event DROP CONSTRAINT webhook_event_state_check").await;
        }
        receive(&database, "evt_1", EventState::Pending).await;
        let sql = if database.db.is_shared() { "" } else { "PRAGMA ignore_check_constraints = ON; " };
        database.execute(&format!("{sql}UPDATE webhook_event SET state = 'dreaming'")).await;
        assert!(inbox::by_id(&database.db, &EventId::new("evt_1")).await.is_err());
    }
}

/// Waiting for them could be a deadlock: the transaction that settles them may wait for the renewed ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_renews_leases_without_waiting_for_events_that_are_being_settled() {
    on_postgres(|database: TestDatabase| async move {
        for id in ["evt_1", "evt_2"] {
            receive(&database, id, EventState::Pending).await;
        }
        let claimed = claim(&database, "worker", NOW, 10).await;
        let leases: Vec<Lease> = claimed.iter().map(|event| event.lease("worker")).collect();
        let mut settling = database.db.begin().await.unwrap();
        assert_eq!(inbox::settle(&mut settling, &leases[..1], EventState::Done, None, NOW).await.unwrap(), None);
        let renewing = tokio::spawn({
            let (db, leases) = (database.db.clone(), leases.clone());
            async move {
                let until = NOW.plus_seconds(LEASE * 2);
                inbox::renew(&db, &leases.iter().collect::<Vec<_>>(), NOW, until).await.unwrap();
            }
        });
        database.until_waiting(&renewing).await;
        assert!(renewing.is_finished(), "it waits for the event that is being settled");
        settling.commit().await.unwrap();
        assert!(claim(&database, "other", NOW.plus_seconds(LEASE), 10).await.is_empty(), "the other one was renewed");
    })
    .await;
}
