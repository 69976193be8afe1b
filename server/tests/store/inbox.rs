//! Events are written down once, held by one worker at a time, and settled once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use billing::{CustomerId, EventId, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use server::store::inbox::{self, Claimed, EventState, Filter, Lease, Listed, NewEvent};
use server::store::{After, customers};
use server::{Db, ids};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::engines::{NOW, Store, at_once, new_event};

const LEASE: i64 = 120;

/// An event about `cus_ada` that Stripe made five seconds before it comes.
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
    /// About a subject of its own.
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

/// Whether it is new.
async fn deliver(store: &Store, delivery: Delivery<'_>) -> bool {
    let row = NewEvent {
        id: &EventId::new(delivery.id),
        kind: delivery.kind,
        api_version: Some("2026-09-30.endive"),
        created: delivery.created,
        subject: delivery.subject,
        customer: delivery.customer,
        payload: r#"{"id":"evt"}"#,
        state: delivery.state,
    };
    let mut tx = store.db.begin().await.unwrap();
    let new = inbox::insert(&mut tx, &row, delivery.received).await.unwrap();
    tx.commit().await.unwrap();
    new
}

async fn receive(store: &Store, id: &str, state: EventState) -> bool {
    deliver(store, Delivery { state, ..Delivery::new(id) }).await
}

async fn claim(store: &Store, owner: &str, now: Timestamp, most: i64) -> Vec<Claimed> {
    inbox::claim(&store.db, owner, now, now.plus_seconds(LEASE), most).await.unwrap()
}

fn ids_of(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|event| event.event_id.as_str()).collect()
}

/// The lease on an event, of whoever holds it; of nobody, when nobody does.
async fn holding(store: &Store, id: &str) -> Lease {
    let owner = store.text(&format!("SELECT lease_owner FROM webhook_event WHERE event_id = '{id}'")).await;
    let event = EventId::new(id);
    let attempt = inbox::standing(&store.db, &event).await.unwrap().map_or(0, |(_, attempts, _)| attempts);
    Lease { event, owner: owner.unwrap_or_default(), attempt }
}

async fn settle(store: &Store, id: &str, state: EventState) {
    assert!(settles(store, &holding(store, id).await, state).await);
}

/// Whether whoever holds this lease may still say so.
async fn settles(store: &Store, lease: &Lease, state: EventState) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let is_theirs = inbox::settle(&mut tx, lease, state, NOW).await.unwrap();
    tx.commit().await.unwrap();
    is_theirs
}

async fn postpone(store: &Store, id: &str, state: EventState, next: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::postpone(&mut tx, &holding(store, id).await, state, next, "Stripe is down").await.unwrap();
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

async fn renew(store: &Store, lease: &Lease, now: Timestamp) {
    let mut tx = store.db.begin().await.unwrap();
    inbox::renew(&mut tx, lease, now, now.plus_seconds(LEASE)).await.unwrap();
    tx.commit().await.unwrap();
}

/// The events that a filter lets through, newest first.
async fn list(store: &Store, state: Option<EventState>, about: &str) -> Vec<Listed> {
    let filter = Filter { state, about: Some(about.to_owned()).filter(|about| !about.is_empty()) };
    inbox::list(&store.db, &filter, &After::start(), 100).await.unwrap()
}

async fn listed(store: &Store, state: Option<EventState>, about: &str) -> Vec<String> {
    list(store, state, about).await.into_iter().map(|event| event.event_id).collect()
}

/// What a worker does with what it has claimed.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Settle,
    Postpone,
}

/// Events about a few subjects, and workers that claim them in batches.
#[derive(Clone, Debug)]
struct Shift {
    subjects: Vec<Option<u8>>,
    workers: Vec<Vec<(i64, Ending)>>,
}

fn shift() -> impl Strategy<Value = Shift> {
    let ending = prop_oneof![Just(Ending::Settle), Just(Ending::Postpone)];
    let turns = prop::collection::vec((1_i64..6, ending), 0..4).prop_map(|mut turns| {
        // Whoever settles nothing never comes to an end.
        turns.push((3, Ending::Settle));
        turns
    });
    let subjects = prop::collection::vec(prop::option::weighted(0.9, 0_u8..4), 30..40);
    (subjects, prop::collection::vec(turns, 6)).prop_map(|(subjects, workers)| Shift { subjects, workers })
}

fn some_shifts() -> Vec<Shift> {
    let mut runner = TestRunner::default();
    (0..6).map(|_| shift().new_tree(&mut runner).expect("nothing is refused").current()).collect()
}

/// The subjects that somebody is at work on.
type Held = Arc<Mutex<BTreeSet<String>>>;

/// Works until nothing is pending any more, and fails when it is given what somebody else has.
async fn work(node: Db, owner: String, turns: Vec<(i64, Ending)>, held: Held) {
    for (most, ending) in turns.into_iter().cycle() {
        let claimed = inbox::claim(&node, &owner, NOW, NOW.plus_seconds(LEASE), most).await.unwrap();
        if claimed.is_empty() {
            if inbox::next_due(&node).await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        }
        let subjects: BTreeSet<String> = claimed.iter().filter_map(|event| event.subject.clone()).collect();
        for subject in &subjects {
            assert!(held.lock().await.insert(subject.clone()), "{owner} got {subject}, which another is at work on");
        }
        // Something that takes a while.
        inbox::count(&node).await.unwrap();
        for subject in &subjects {
            held.lock().await.remove(subject);
        }
        let mut tx = node.begin().await.unwrap();
        for event in &claimed {
            let lease = event.lease(&owner);
            match ending {
                Ending::Settle => assert!(inbox::settle(&mut tx, &lease, EventState::Done, NOW).await.unwrap()),
                Ending::Postpone => inbox::postpone(&mut tx, &lease, EventState::Pending, NOW, "later").await.unwrap(),
            }
        }
        tx.commit().await.unwrap();
    }
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

    async fn of_many_events_in_one_write_the_new_ones_are_told(store) {
        for id in ["evt_007", "evt_050"] {
            receive(&store, id, EventState::Pending).await;
        }
        // More than any one statement takes, sorted, and some of them twice.
        let mut ids: Vec<EventId> = (0..100).map(|n| EventId::new(format!("evt_{n:03}"))).collect();
        ids.extend(["evt_003", "evt_050", "evt_099"].map(EventId::new));
        ids.sort();
        let rows: Vec<(NewEvent<'_>, Timestamp)> = ids.iter().map(|id| (new_event(id), NOW)).collect();
        let mut tx = store.db.begin().await.unwrap();
        let new = inbox::insert_all(&mut tx, &rows).await.unwrap();
        assert!(inbox::insert_all(&mut tx, &rows).await.unwrap().is_empty(), "all of them are there");
        assert!(inbox::insert_all(&mut tx, &[]).await.unwrap().is_empty());
        tx.commit().await.unwrap();
        assert_eq!(new.len(), 98);
        assert!(!new.contains("evt_007") && !new.contains("evt_050"), "they were there before");
        assert_eq!(inbox::count(&store.db).await.unwrap(), 100);
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
        deliver(&store, Delivery::about("evt_1", "sub_1")).await;
        let claimed = claim(&store, "worker", NOW, 10).await;
        let [event] = claimed.as_slice() else { panic!("{claimed:?}") };
        assert_eq!(event.event_id, "evt_1");
        assert_eq!(event.kind, "customer.subscription.updated");
        assert_eq!((event.subject.as_deref(), event.customer_id.as_deref()), (Some("sub_1"), Some("cus_ada")));
        assert_eq!(event.payload, r#"{"id":"evt"}"#);
        assert_eq!((event.created, event.attempts), (NOW.0 - 5, 1), "this is the first try");
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

    async fn a_lease_that_has_run_out_lets_another_worker_in(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        assert_eq!(claim(&store, "killed", NOW, 10).await.len(), 1);
        let until = NOW.plus_seconds(LEASE);
        assert_eq!(inbox::next_due(&store.db).await.unwrap(), Some(until), "when the lease ends, not before");
        assert!(claim(&store, "other", until.plus_seconds(-1), 10).await.is_empty());
        let claimed = claim(&store, "other", until, 10).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].attempts, 2, "the try of the one that was killed counts");
    }

    /// What one node held that has just started again.
    async fn everything_that_anybody_holds_can_be_let_go_of_at_once(store) {
        for id in ["evt_a", "evt_b", "evt_c"] {
            receive(&store, id, EventState::Pending).await;
        }
        assert_eq!(claim(&store, "killed", NOW, 1).await.len(), 1);
        assert_eq!(claim(&store, "killed too", NOW, 1).await.len(), 1);
        settle(&store, "evt_b", EventState::Done).await;
        let mut tx = store.db.begin().await.unwrap();
        inbox::release_all(&mut tx).await.unwrap();
        tx.commit().await.unwrap();

        let claimed = claim(&store, "started", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_a", "evt_c"], "what is done stays done");
        assert_eq!(claimed.iter().map(|event| event.attempts).collect::<Vec<_>>(), [2, 1], "a try that was killed counts");
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
        assert_eq!((claimed.len(), claimed[0].attempts), (1, 2));

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
        assert_eq!(claimed[0].attempts, 1, "waiting was not its fault");
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
        let lease = claim(&store, "worker", NOW, 10).await[0].lease("worker");
        let mut tx = store.db.begin().await.unwrap();
        assert!(inbox::settle(&mut tx, &lease, EventState::Unmatched, NOW).await.unwrap());

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
        let held = holding(&store, "evt_1").await;
        let mut tx = store.db.begin().await.unwrap();
        assert!(inbox::settle(&mut tx, &held, EventState::Done, NOW).await.unwrap());
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
        assert!(claimed.iter().all(|event| event.attempts == 1), "all its tries are before it");
    }

    async fn the_bytes_that_were_signed_are_kept(store) {
        receive(&store, "evt_1", EventState::Ignored).await;
        let payload = inbox::payload(&store.db, &EventId::new("evt_1")).await.unwrap();
        assert_eq!(payload.as_deref(), Some(r#"{"id":"evt"}"#));
        assert_eq!(inbox::payload(&store.db, &EventId::new("evt_none")).await.unwrap(), None);
    }

    async fn of_many_events_those_are_known_that_were_written_down(store) {
        for (id, state) in [("evt_1", EventState::Pending), ("evt_2", EventState::Ignored), ("evt_3", EventState::Pending)] {
            receive(&store, id, state).await;
        }
        settle(&store, "evt_1", EventState::Done).await;
        let mut known: Vec<String> = inbox::known(&store.db, &["evt_1", "evt_2", "evt_none", "evt'"]).await.unwrap().into_iter().collect();
        known.sort();
        assert_eq!(known, ["evt_1", "evt_2"]);
        assert!(inbox::known(&store.db, &[]).await.unwrap().is_empty());
        let listed = inbox::by_id(&store.db, &EventId::new("evt_2")).await.unwrap().expect("it is there");
        assert_eq!((listed.event_id.as_str(), listed.state.as_str()), ("evt_2", "ignored"));
        assert!(inbox::by_id(&store.db, &EventId::new("evt_none")).await.unwrap().is_none());
    }

    async fn an_unknown_event_has_no_standing(store) {
        assert!(inbox::standing(&store.db, &EventId::new("evt_none")).await.unwrap().is_none());
        settle(&store, "evt_none", EventState::Done).await;
        postpone(&store, "evt_none", EventState::Parked, NOW).await;
        assert_eq!(inbox::count(&store.db).await.unwrap(), 0);
    }

    async fn what_is_claimed_together_comes_in_the_order_in_which_it_happened(store) {
        // Delivered in another order, two of them made in one second.
        for (id, ago) in [("evt_c", 1), ("evt_b", 3), ("evt_a", 3), ("evt_d", 9)] {
            deliver(&store, Delivery { created: NOW.plus_seconds(-ago), ..Delivery::about(id, "sub_1") }).await;
        }
        assert_eq!(ids_of(&claim(&store, "worker", NOW, 10).await), ["evt_d", "evt_a", "evt_b", "evt_c"]);
    }

    async fn those_that_have_been_due_longest_come_first_and_no_more_than_asked_for(store) {
        for (id, after) in [("evt_a", 3), ("evt_b", 1), ("evt_c", 2), ("evt_d", 2), ("evt_later", 100)] {
            deliver(&store, Delivery { received: NOW.plus_seconds(after), ..Delivery::new(id) }).await;
        }
        let now = NOW.plus_seconds(10);
        assert_eq!(ids_of(&claim(&store, "worker", now, 2).await), ["evt_b", "evt_c"]);
        assert_eq!(ids_of(&claim(&store, "worker", now, 2).await), ["evt_a", "evt_d"]);
        assert!(claim(&store, "worker", now, 2).await.is_empty());
    }

    async fn a_subject_is_worked_on_by_one_at_a_time(store) {
        for (id, subject) in [("evt_1", "sub_1"), ("evt_2", "sub_1"), ("evt_3", "sub_2")] {
            deliver(&store, Delivery::about(id, subject)).await;
        }
        assert_eq!(ids_of(&claim(&store, "one", NOW, 1).await), ["evt_1"]);
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_3"]);
        deliver(&store, Delivery::about("evt_0", "sub_1")).await;
        assert!(claim(&store, "other", NOW, 10).await.is_empty(), "what comes in meanwhile waits too");
        assert!(claim(&store, "one", NOW, 10).await.is_empty(), "even for the one who is at work on it");
        settle(&store, "evt_1", EventState::Done).await;
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_0", "evt_2"]);
    }

    async fn a_subject_is_free_again_whatever_became_of_what_held_it(store) {
        use EventState::{Done, Parked, Pending, Unmatched};
        for (turn, became) in [Done, Unmatched, Parked, Pending].into_iter().enumerate() {
            let (subject, first, second) = (format!("sub_{turn}"), format!("evt_{turn}_1"), format!("evt_{turn}_2"));
            deliver(&store, Delivery::about(&first, &subject)).await;
            deliver(&store, Delivery::about(&second, &subject)).await;
            assert_eq!(ids_of(&claim(&store, "one", NOW, 1).await), [first.as_str()]);
            assert!(claim(&store, "other", NOW, 10).await.is_empty());
            match became {
                Done | Unmatched => settle(&store, &first, became).await,
                _ => postpone(&store, &first, became, NOW.plus_days(1)).await,
            }
            let free = claim(&store, "other", NOW, 10).await;
            assert!(ids_of(&free).contains(&second.as_str()), "{became:?}");
            for event in &free {
                settle(&store, &event.event_id, Done).await;
            }
        }
    }

    async fn what_a_dead_worker_held_up_is_free_when_its_lease_ends(store) {
        deliver(&store, Delivery::about("evt_1", "sub_1")).await;
        deliver(&store, Delivery::about("evt_2", "sub_1")).await;
        assert_eq!(ids_of(&claim(&store, "killed", NOW, 1).await), ["evt_1"]);
        let until = NOW.plus_seconds(LEASE);
        assert!(claim(&store, "other", until.plus_seconds(-1), 10).await.is_empty());
        assert_eq!(ids_of(&claim(&store, "other", until, 10).await), ["evt_1", "evt_2"]);
    }

    async fn what_is_about_nothing_holds_up_nothing(store) {
        for id in ["evt_1", "evt_2"] {
            deliver(&store, Delivery { subject: None, ..Delivery::new(id) }).await;
        }
        assert_eq!(ids_of(&claim(&store, "one", NOW, 1).await), ["evt_1"]);
        assert_eq!(ids_of(&claim(&store, "other", NOW, 1).await), ["evt_2"]);
    }

    async fn workers_on_two_nodes_are_never_at_one_subject_together(store) {
        let other_node = store.another_node().await;
        for shift in some_shifts() {
            let (run, held) = (ids::new_id(), Held::default());
            let id = |n: usize| format!("evt_{run}_{n}");
            // The first ones are there when work begins, the others come while it goes on.
            let early = shift.subjects.len() / 2;
            let mut team = JoinSet::new();
            for (n, subject) in shift.subjects.iter().enumerate() {
                if n == early {
                    for (worker, turns) in shift.workers.iter().enumerate() {
                        let node = if worker % 2 == 0 { store.db.clone() } else { other_node.clone() };
                        team.spawn(work(node, format!("worker {worker}"), turns.clone(), held.clone()));
                    }
                }
                let subject = subject.map(|subject| format!("sub_{run}_{subject}"));
                deliver(&store, Delivery { subject: subject.as_deref(), ..Delivery::new(&id(n)) }).await;
            }
            while let Some(done) = team.join_next().await {
                assert!(done.is_ok(), "{done:?} in {shift:?}");
            }
            // Whoever found nothing for a moment has gone home.
            work(store.db.clone(), "last".to_owned(), vec![(64, Ending::Settle)], held).await;
            for n in 0..shift.subjects.len() {
                assert_eq!(standing(&store, &id(n)).await.0, EventState::Done, "{shift:?}");
            }
        }
        other_node.close().await;
    }

    async fn a_worker_that_renews_keeps_what_it_is_at_work_on(store) {
        deliver(&store, Delivery::about("evt_1", "sub_1")).await;
        deliver(&store, Delivery::about("evt_2", "sub_2")).await;
        let claimed = claim(&store, "slow", NOW, 10).await;
        assert_eq!(ids_of(&claimed), ["evt_1", "evt_2"]);
        // It lost the second one, say to a panic.
        let renewed = NOW.plus_seconds(LEASE - 1);
        renew(&store, &claimed[0].lease("slow"), renewed).await;

        assert_eq!(ids_of(&claim(&store, "other", NOW.plus_seconds(LEASE), 10).await), ["evt_2"]);
        let until = renewed.plus_seconds(LEASE);
        assert!(!ids_of(&claim(&store, "other", until.plus_seconds(-1), 10).await).contains(&"evt_1"));
        assert!(ids_of(&claim(&store, "other", until, 10).await).contains(&"evt_1"));
    }

    async fn what_is_settled_is_not_held_on_to(store) {
        deliver(&store, Delivery::about("evt_1", "sub_1")).await;
        let lease = claim(&store, "worker", NOW, 10).await[0].lease("worker");
        settle(&store, "evt_1", EventState::Done).await;
        renew(&store, &lease, NOW).await;
        assert!(replay(&store, "evt_1").await);
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_1"]);
    }

    /// Somebody else may be at the same subject by then.
    async fn a_lease_that_has_run_out_is_not_renewed(store) {
        deliver(&store, Delivery { received: NOW.plus_seconds(1), ..Delivery::about("evt_1", "sub_1") }).await;
        let began = NOW.plus_seconds(1);
        let stalled = claim(&store, "stalled", began, 1).await[0].lease("stalled");
        deliver(&store, Delivery::about("evt_2", "sub_1")).await;
        let over = began.plus_seconds(LEASE);
        assert_eq!(ids_of(&claim(&store, "other", over, 1).await), ["evt_2"]);
        renew(&store, &stalled, over).await;
        settle(&store, "evt_2", EventState::Done).await;
        assert_eq!(ids_of(&claim(&store, "other", over, 1).await), ["evt_1"]);
    }

    /// Whoever was away for longer than a lease lasts, and comes back in the middle of what another is at.
    async fn a_claim_that_was_lost_decides_nothing(store) {
        for (event, next_owner) in [("evt_1", "other"), ("evt_2", "slow")] {
            receive(&store, event, EventState::Pending).await;
            let lost = claim(&store, "slow", NOW, 10).await[0].lease("slow");
            let later = NOW.plus_seconds(LEASE);
            let held = claim(&store, next_owner, later, 10).await[0].lease(next_owner);
            for state in [EventState::Done, EventState::Unmatched, EventState::Ignored] {
                assert!(!settles(&store, &lost, state).await, "{next_owner} has it");
            }
            let mut tx = store.db.begin().await.unwrap();
            inbox::postpone(&mut tx, &lost, EventState::Parked, NOW, "Stripe is down").await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(standing(&store, event).await, (EventState::Pending, 2, None));
            assert!(claim(&store, "third", later, 10).await.is_empty(), "{next_owner} has it still");
            assert!(settles(&store, &held, EventState::Done).await);
            assert!(settles(&store, &lost, EventState::Done).await, "nobody is at it any more, and done it is");
        }
    }

    async fn a_failure_does_not_put_off_what_was_just_made_due(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        let lease = claim(&store, "worker", NOW, 10).await[0].lease("worker");
        revive(&store).await;
        let mut tx = store.db.begin().await.unwrap();
        inbox::postpone(&mut tx, &lease, EventState::Parked, NOW, "Stripe is down").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn what_somebody_is_at_work_on_is_replayed_by_them(store) {
        receive(&store, "evt_1", EventState::Pending).await;
        let lease = claim(&store, "worker", NOW, 10).await[0].lease("worker");
        assert!(replay(&store, "evt_1").await);
        assert!(claim(&store, "other", NOW, 10).await.is_empty(), "two would be at it");
        assert!(settles(&store, &lease, EventState::Done).await);
        assert!(replay(&store, "evt_1").await);
        assert_eq!(ids_of(&claim(&store, "other", NOW, 10).await), ["evt_1"]);
    }

    async fn an_event_that_does_not_say_whose_it_is_is_told_once(store) {
        deliver(&store, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        deliver(&store, Delivery { customer: Some("cus_eve"), ..Delivery::new("evt_eve") }).await;
        let events = ["evt_refund", "evt_eve", "evt_none"].map(EventId::new);
        inbox::name_customer(&store.db, &events, &CustomerId::new("cus_ada")).await.unwrap();
        inbox::name_customer(&store.db, &events, &CustomerId::new("cus_bob")).await.unwrap();
        assert_eq!(listed(&store, None, "cus_ada").await, ["evt_refund"]);
        assert_eq!(listed(&store, None, "cus_eve").await, ["evt_eve"], "its own word counts");
        assert!(listed(&store, None, "cus_bob").await.is_empty());
    }

    async fn an_event_that_was_told_whose_it_is_comes_back_when_that_customer_is_linked(store) {
        deliver(&store, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        claim(&store, "worker", NOW, 10).await;
        inbox::name_customer(&store.db, &[EventId::new("evt_refund")], &CustomerId::new("cus_ada")).await.unwrap();
        settle(&store, "evt_refund", EventState::Unmatched).await;
        revive(&store).await;
        assert_eq!(ids_of(&claim(&store, "worker", NOW, 10).await), ["evt_refund"]);
    }

    /// The link looks for what waits for it before it is told that this event does.
    async fn an_event_that_is_named_while_its_customer_is_linked_is_not_left_unmatched(store) {
        let account = store.account("ada@example.com").await;
        deliver(&store, Delivery { customer: None, ..Delivery::new("evt_refund") }).await;
        let lease = claim(&store, "worker", NOW, 10).await[0].lease("worker");

        let cus_ada = CustomerId::new("cus_ada");
        let mut linking = store.db.begin().await.unwrap();
        assert!(customers::link(&mut linking, &cus_ada, &account, false, NOW).await.unwrap());
        assert_eq!(inbox::revive_unmatched(&mut linking, &cus_ada, NOW).await.unwrap(), 0);
        let applying = tokio::spawn({
            let store = store.clone();
            async move {
                inbox::name_customer(&store.db, std::slice::from_ref(&lease.event), &cus_ada).await.unwrap();
                let mut tx = store.db.begin().await.unwrap();
                let found = customers::account_of(&mut tx, &cus_ada).await.unwrap();
                let state = if found.is_some() { EventState::Done } else { EventState::Unmatched };
                assert!(inbox::settle(&mut tx, &lease, state, NOW).await.unwrap());
                tx.commit().await.unwrap();
            }
        });
        store.until_waiting(&applying).await;
        linking.commit().await.unwrap();
        applying.await.unwrap();
        assert_eq!(standing(&store, "evt_refund").await.0, EventState::Done);
    }

    /// Two were at it; the one who looked before the link comes late, and the other still has it in hand.
    async fn a_late_word_that_there_is_no_account_takes_nothing_from_whoever_tries_again(store) {
        let account = store.account("ada@example.com").await;
        receive(&store, "evt_1", EventState::Pending).await;
        let early = claim(&store, "early", NOW, 10).await[0].lease("early");
        store.customer(&account, "cus_ada").await;
        revive(&store).await;
        assert_eq!(claim(&store, "late", NOW, 10).await.len(), 1);

        assert!(!settles(&store, &early, EventState::Unmatched).await);
        assert_eq!(standing(&store, "evt_1").await.0, EventState::Pending);
        postpone(&store, "evt_1", EventState::Pending, NOW.plus_seconds(4)).await;
        assert_eq!(ids_of(&claim(&store, "other", NOW.plus_seconds(4), 10).await), ["evt_1"]);
    }

    async fn a_link_brings_back_what_waits_for_it_and_nothing_else(store) {
        for (id, state) in [("evt_done", EventState::Done), ("evt_unmatched", EventState::Unmatched)] {
            receive(&store, id, EventState::Pending).await;
            claim(&store, "worker", NOW, 10).await;
            settle(&store, id, state).await;
        }
        receive(&store, "evt_parked", EventState::Pending).await;
        claim(&store, "worker", NOW, 10).await;
        postpone(&store, "evt_parked", EventState::Parked, NOW).await;
        receive(&store, "evt_ignored", EventState::Ignored).await;
        deliver(&store, Delivery { customer: Some("cus_eve"), ..Delivery::new("evt_eve") }).await;
        claim(&store, "worker", NOW, 10).await;
        settle(&store, "evt_eve", EventState::Unmatched).await;

        revive(&store).await;
        assert_eq!(ids_of(&claim(&store, "worker", NOW, 10).await), ["evt_unmatched"]);
    }

    async fn a_listed_event_says_everything_about_it(store) {
        let about = Delivery { kind: "refund.updated", ..Delivery::about("evt_1", "pi_1") };
        deliver(&store, about).await;
        claim(&store, "worker", NOW, 1).await;
        postpone(&store, "evt_1", EventState::Parked, NOW).await;
        let events = list(&store, None, "").await;
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.event_id.as_str(), event.kind.as_str()), ("evt_1", "refund.updated"));
        assert_eq!((event.state.as_str(), event.attempts, event.received_at), ("parked", 1, NOW.0));
        assert_eq!((event.subject.as_deref(), event.customer_id.as_deref()), (Some("pi_1"), Some("cus_ada")));
        assert_eq!(event.last_error.as_deref(), Some("Stripe is down"));
    }

    async fn events_are_listed_newest_first_and_filtered(store) {
        let paid = "invoice.paid";
        deliver(&store, Delivery { received: NOW, ..Delivery::about("evt_a", "sub_1") }).await;
        deliver(&store, Delivery { received: NOW.plus_seconds(2), kind: paid, ..Delivery::about("evt_b", "sub_1") }).await;
        deliver(&store, Delivery { received: NOW.plus_seconds(1), kind: paid, ..Delivery::about("evt_c", "sub_2") }).await;
        deliver(&store, Delivery { customer: Some("cus_eve"), subject: None, ..Delivery::new("evt_d") }).await;
        settle(&store, "evt_c", EventState::Done).await;

        assert_eq!(listed(&store, None, "").await, ["evt_b", "evt_c", "evt_d", "evt_a"]);
        assert_eq!(listed(&store, Some(EventState::Pending), "").await, ["evt_b", "evt_d", "evt_a"]);
        assert_eq!(listed(&store, Some(EventState::Done), "").await, ["evt_c"]);
        assert!(listed(&store, Some(EventState::Parked), "").await.is_empty());
        for (about, events) in [
            (paid, &["evt_b", "evt_c"][..]),
            ("sub_1", &["evt_b", "evt_a"]),
            ("cus_ada", &["evt_b", "evt_c", "evt_a"]),
            ("cus_eve", &["evt_d"]),
            ("evt_c", &["evt_c"]),
            ("invoice", &[]),
            ("%", &[]),
        ] {
            assert_eq!(listed(&store, None, about).await, events, "{about}");
        }
        assert_eq!(listed(&store, Some(EventState::Pending), paid).await, ["evt_b"]);
        assert!(listed(&store, Some(EventState::Done), "sub_1").await.is_empty());
    }

    async fn events_of_one_second_are_all_on_some_page_and_none_on_two(store) {
        for n in 0..10 {
            let customer = if n % 5 == 0 { "cus_eve" } else { "cus_ada" };
            let received = NOW.plus_seconds(n / 4);
            deliver(&store, Delivery { customer: Some(customer), received, ..Delivery::new(&format!("evt_{n}")) }).await;
        }
        for about in ["", "cus_ada"] {
            let all = listed(&store, None, about).await;
            let filter = Filter { state: None, about: Some(about.to_owned()) };
            for size in [1, 2, 3, 10] {
                let (mut after, mut seen) = (After::start(), Vec::new());
                loop {
                    let page = inbox::list(&store.db, &filter, &after, size).await.unwrap();
                    let Some(last) = page.last() else { break };
                    after = After { at: Timestamp(last.received_at), key: last.event_id.clone() };
                    seen.extend(page.into_iter().map(|event| event.event_id));
                }
                assert_eq!(seen, all, "in pages of {size}");
            }
        }
    }

    async fn what_waits_is_counted(store) {
        assert!(inbox::count_by_state(&store.db).await.unwrap().is_empty());
        assert_eq!(inbox::oldest_pending(&store.db).await.unwrap(), None);
        for (id, received) in [("evt_a", 1), ("evt_b", 2), ("evt_c", 3), ("evt_d", 4)] {
            deliver(&store, Delivery { received: NOW.plus_seconds(received), ..Delivery::new(id) }).await;
        }
        receive(&store, "evt_ignored", EventState::Ignored).await;
        settle(&store, "evt_a", EventState::Done).await;
        postpone(&store, "evt_b", EventState::Pending, NOW.plus_days(1)).await;

        let counts = inbox::count_by_state(&store.db).await.unwrap();
        assert_eq!(counts, [(EventState::Done, 1), (EventState::Ignored, 1), (EventState::Pending, 3)]);
        let oldest = inbox::oldest_pending(&store.db).await.unwrap();
        assert_eq!(oldest, Some(NOW.plus_seconds(2)), "since it came, not since it was put off");
        assert_eq!(inbox::count(&store.db).await.unwrap(), 5);
    }

    async fn customers_whom_nobody_owns_are_named_with_what_waits_for_them(store) {
        for (id, customer) in [("evt_1", "cus_b"), ("evt_2", "cus_a"), ("evt_3", "cus_b"), ("evt_4", "cus_c")] {
            deliver(&store, Delivery { customer: Some(customer), ..Delivery::new(id) }).await;
        }
        claim(&store, "worker", NOW, 10).await;
        for id in ["evt_1", "evt_2", "evt_3"] {
            settle(&store, id, EventState::Unmatched).await;
        }
        let waiting = inbox::unmatched_customers(&store.db).await.unwrap();
        assert_eq!(waiting, [(CustomerId::new("cus_a"), 1), (CustomerId::new("cus_b"), 2)]);
    }
}
