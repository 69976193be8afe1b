//! Random customer histories, whose events are delivered in order and out of order.
//!
//! Both databases are tested at the same time, and each of them in several lanes: a lane is a thread
//! that plays one history after the other, on databases that it keeps. Its seed is the printed one plus
//! its number, so that a seed always gives the same histories, for any number of them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use engine::inbox::events::handled;
use engine::reconcile::{Mode, reconcile};
use engine::store::Cursor;
use engine::store::inbox::{self, EventFilter, EventState};
use engine::{catalog, ids};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use sandbox::Sandbox;
use server::Tollgate;
use tokio::runtime::Runtime;

use crate::history::{Conditions, Step, history};
use crate::node::{Node, Place, UNLINKED, add_endpoints, people};
use crate::objects::Objects;
use crate::snapshot::{assert_agrees, assert_matches_selling_node, assert_recorded, held_by};
use crate::stripe::Stripe;
use crate::support::{Browser, DatabaseKind};

/// The number of histories on each database, unless `TOLLGATE_CASES` says otherwise.
const CASES: u32 = 100;
/// The number of lanes: while one waits, another works.
const LANES: u32 = 2;
/// The number of histories that is sure to include an event of every handled type.
const ENOUGH_FOR_EVERY_EVENT: u32 = 1_000;
/// More days than any history lasts.
const ALL_DAYS: i64 = 3_650;

#[test]
fn on_sqlite_every_order_ends_in_the_state_of_stripe() {
    every_order_ends_in_the_state_of_stripe(DatabaseKind::Sqlite);
}

#[test]
fn on_postgres_every_order_ends_in_the_state_of_stripe() {
    every_order_ends_in_the_state_of_stripe(DatabaseKind::Postgres);
}

fn every_order_ends_in_the_state_of_stripe(database: DatabaseKind) {
    let seed = variable("TOLLGATE_SEED").unwrap_or_else(new_seed);
    let cases = variable("TOLLGATE_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(CASES);
    println!("TOLLGATE_SEED={seed} TOLLGATE_CASES={cases}");
    let failed = OnceLock::new();
    let outcomes: Vec<Result<BTreeSet<String>, String>> = std::thread::scope(|scope| {
        let failed = &failed;
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let cases = cases / LANES + u32::from(lane < cases % LANES);
                scope.spawn(move || Lane::new(database, lane, failed).play(seed.wrapping_add(lane.into()), cases))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let mut seen = BTreeSet::new();
    for outcome in outcomes {
        match outcome {
            Ok(kinds) => seen.extend(kinds),
            Err(error) => panic!("TOLLGATE_SEED={seed} TOLLGATE_CASES={cases}\n{error}"),
        }
    }
    let unseen: Vec<&str> = handled().into_iter().filter(|kind| !seen.contains(*kind)).collect();
    assert!(cases < ENOUGH_FOR_EVERY_EVENT || unseen.is_empty(), "no history has an event of {unseen:?}");
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let formatted = panic.downcast::<String>().map(|message| *message);
    formatted.unwrap_or_else(|panic| (*panic.downcast::<&str>().expect("a panic has a message")).to_owned())
}

fn new_seed() -> u64 {
    u64::from_str_radix(&ids::new_secret().unwrap()[..16], 16).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test run sets the number of tests")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A thread that plays whole histories.
struct Lane<'a> {
    database: DatabaseKind,
    number: u32,
    /// The first lane in which a history failed: the others stop early.
    failed: &'a OnceLock<u32>,
    runtime: Runtime,
    browser: Browser,
    /// The databases of the nodes; none after a failed history, which may have left anything in them.
    places: RefCell<Option<[Place; 3]>>,
    /// The types of all events.
    seen: RefCell<BTreeSet<String>>,
    /// The number of histories that passed.
    passed: Cell<u32>,
}

impl<'a> Lane<'a> {
    fn new(database: DatabaseKind, number: u32, failed: &'a OnceLock<u32>) -> Self {
        Self {
            database,
            number,
            failed,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            browser: Browser::new(""),
            places: RefCell::default(),
            seen: RefCell::default(),
            passed: Cell::new(0),
        }
    }

    /// Plays `cases` histories, and returns the types of their events, or a failure shrunk to the fewest
    /// possible steps.
    fn play(self, seed: u64, cases: u32) -> Result<BTreeSet<String>, String> {
        let config = Config {
            cases,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            max_shrink_iters: 60,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&history(), |steps| {
            if self.failed.get().is_some_and(|lane| *lane != self.number) {
                return Ok(());
            }
            // A failed assertion is a panic, which the runner treats as an error.
            let played = catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(self.live(steps))));
            let played = played.map_err(|panic| TestCaseError::fail(message(panic)));
            match &played {
                Err(_) => drop(self.failed.get_or_init(|| self.number)),
                // Histories that are played again in fewer steps do not count.
                Ok(()) if self.failed.get().is_none() => self.passed.set(self.passed.get() + 1),
                Ok(()) => {}
            }
            played
        });
        let passed = self.passed.get();
        outcome.map_err(|error| format!("after {passed} histories of lane {}: {error}", self.number))?;
        Ok(self.seen.into_inner())
    }

    /// Plays one history, from its first purchase to the comparison.
    async fn live(&self, steps: Vec<Step>) {
        let sandbox =
            sandbox::start(sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() });
        let sandbox = sandbox.await.unwrap();
        sandbox.hold_deliveries(true);
        add_endpoints(&sandbox);
        let [in_order, out_of_order, without_events] = self.places().await;
        let in_order = Node::start(in_order, &sandbox).await;
        let mut out_of_order = Node::start(out_of_order, &sandbox).await;
        catalog::apply_all(in_order.tollgate.gateway(), in_order.tollgate.catalog()).await.unwrap();
        let stripe = Stripe::new(&sandbox, &self.browser);
        // Reconciliation repairs events that were never delivered. So that it does not hide any that were
        // delivered but not applied, every other history loses none and is compared before it is reconciled.
        let loses = steps.first().is_some_and(|step| step.conditions.seed % 2 == 0);
        let mut mail = Mail { loses, ..Mail::default() };

        let mut is_at_work = false;
        for step in steps {
            let perform = stripe.perform(step.action, step.who, &in_order.tollgate);
            if is_at_work {
                let happens = async {
                    perform.await;
                    let new = mail.deliver_in_order(&sandbox, &in_order).await;
                    for event in new {
                        out_of_order.deliver(&sandbox, &event, step.conditions.old_version).await;
                    }
                };
                tokio::join!(out_of_order.work(), happens);
            } else {
                perform.await;
                mail.deliver_in_order(&sandbox, &in_order).await;
            }
            mail.deliver_badly(&sandbox, &mut out_of_order, step.conditions).await;
            is_at_work = step.conditions.meanwhile && !step.conditions.outage;
            if !is_at_work {
                out_of_order.work().await;
            }
            sandbox.fail_next(0, 500);
        }

        // Every customer gets its account; leases of crashed workers and delays after failures have expired.
        stripe.link(&people()[UNLINKED]).await;
        sandbox.advance(Duration::from_secs(2 * 3600));
        mail.deliver_in_order(&sandbox, &in_order).await;
        for event in std::mem::take(&mut mail.waiting) {
            out_of_order.deliver(&sandbox, &event, true).await;
        }
        out_of_order.work().await;
        let objects = Objects::of(&stripe).await;
        let held = held_by(&objects, &in_order).await;
        if !loses {
            assert_settled(&out_of_order.tollgate).await;
            assert_same(&held, &held_by(&objects, &out_of_order).await, "received everything, in any order");
        }
        let found = reconcile(&out_of_order.tollgate, Mode::Repair, ALL_DAYS).await.unwrap();
        out_of_order.work().await;
        assert_settled(&in_order.tollgate).await;
        assert_settled(&out_of_order.tollgate).await;
        // Without losses there is nothing to repair; after losses a second run finds nothing.
        let left = if loses { reconcile(&out_of_order.tollgate, Mode::Repair, ALL_DAYS).await.unwrap() } else { found };
        assert!(left.iter().all(|finding| !finding.is_fixed), "something was left to repair: {left:?}");

        let without_events = Node::start(without_events, &sandbox).await;
        reconcile(&without_events.tollgate, Mode::Repair, ALL_DAYS).await.unwrap();
        without_events.work().await;
        assert_settled(&without_events.tollgate).await;

        assert_same(&held, &held_by(&objects, &out_of_order).await, "received events out of order");
        assert_same(&held, &held_by(&objects, &without_events).await, "received no event");
        assert_agrees(&objects, &in_order).await;
        assert_matches_selling_node(&objects, &in_order).await;
        for node in [&in_order, &out_of_order, &without_events] {
            assert_recorded(node).await;
        }
        self.seen.borrow_mut().extend(mail.kinds);
        self.places.replace(Some([in_order.stop(), out_of_order.stop(), without_events.stop()]));
        sandbox.shutdown().await;
    }

    async fn places(&self) -> [Place; 3] {
        let kept = self.places.take();
        match kept {
            Some(places) => places,
            None => [Place::new(self.database).await, Place::new(self.database).await, Place::new(self.database).await],
        }
    }
}

async fn assert_settled(tollgate: &Tollgate) {
    let mut open = Vec::new();
    for state in [EventState::Pending, EventState::Parked, EventState::Unmatched] {
        let filter = EventFilter { state: Some(state), about: None };
        open.extend(inbox::list(tollgate.db(), &filter, &Cursor::start(), 1_000).await.unwrap());
    }
    assert!(open.is_empty(), "not settled: {open:#?}");
}

fn assert_same(expected: &[String], held: &[String], node: &str) {
    for (expected, held) in expected.iter().zip(held) {
        assert_eq!(expected, held, "the node that {node}");
    }
    assert_eq!(expected.len(), held.len(), "the node that {node}");
}

/// The events not yet delivered to the node with the unreliable connection.
#[derive(Default)]
struct Mail {
    taken: usize,
    waiting: Vec<String>,
    /// Whether some of it never arrives.
    loses: bool,
    /// The types of all events.
    kinds: BTreeSet<String>,
}

impl Mail {
    /// The events since the last call, in order.
    fn new_events(&mut self, sandbox: &Sandbox) -> Vec<String> {
        let all = sandbox.deliveries();
        let mut new = Vec::new();
        for delivery in &all[self.taken..] {
            self.kinds.insert(delivery.kind.clone());
            new.push(delivery.event.clone());
        }
        self.taken = all.len();
        // Each event has a delivery to both endpoints.
        new.dedup();
        new
    }

    /// Delivers the new events in order and applies them. They also wait for unreliable delivery.
    async fn deliver_in_order(&mut self, sandbox: &Sandbox, node: &Node) -> Vec<String> {
        let new = self.new_events(sandbox);
        for event in &new {
            node.deliver(sandbox, event, false).await;
        }
        if !new.is_empty() {
            node.work().await;
        }
        self.waiting.extend(new.clone());
        new
    }

    /// Delivers some of the waiting events: in any order, some of them twice, some later or never.
    async fn deliver_badly(&mut self, sandbox: &Sandbox, node: &mut Node, conditions: Conditions) {
        let mut chance = Chance(conditions.seed);
        if conditions.restart {
            node.restart().await;
        }
        chance.shuffle(&mut self.waiting);
        let mut later = Vec::new();
        for event in std::mem::take(&mut self.waiting) {
            match chance.below(20) {
                // Never: reconciliation finds it.
                0 if self.loses => {}
                1..=5 => later.push(event),
                6..=8 => {
                    node.deliver(sandbox, &event, conditions.old_version).await;
                    node.deliver(sandbox, &event, !conditions.old_version).await;
                    later.push(event);
                }
                _ => node.deliver(sandbox, &event, conditions.old_version).await,
            }
        }
        self.waiting = later;
        if conditions.dead_worker {
            node.lose_a_worker().await;
        }
        if conditions.outage {
            // Usually the outage outlasts all attempts of one request, and the events are rescheduled.
            let (calls, status) = if chance.below(4) == 0 { (2, 500) } else { (u32::MAX, 401) };
            sandbox.fail_next(calls, status);
        }
    }
}

/// SplitMix64: the same seed gives the same history.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(u64::try_from(last + 1).unwrap())).unwrap();
            items.swap(last, other);
        }
    }
}
