//! Random lives of customers, told in order and out of order.
//!
//! Both engines are told at once, and each of them in several lanes: a lane is a thread that plays
//! one history after the other, on databases that it keeps. Its seed is the printed one and its
//! number, so that the same seed tells the same histories, however many.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use sandbox::Sandbox;
use server::reconcile::{Mode, reconcile};
use server::store::After;
use server::store::inbox::{self, EventState, Filter};
use server::webhook::events::handled;
use server::{Tollgate, catalog_apply};
use tokio::runtime::Runtime;

use crate::history::{Step, Telling, history};
use crate::node::{Node, Place, STRANGER, add_endpoints, people};
use crate::snapshot::{Everything, assert_recorded};
use crate::stripe::Stripe;
use crate::support::{Browser, Engine};

/// How many histories each engine is told, unless `TOLLGATE_CASES` says otherwise.
const CASES: u32 = 200;
/// In how many lanes: what one waits for, another does.
const LANES: u32 = 2;
/// So many histories have told of every type of event that is handled; in a few, one may be missing.
const ENOUGH_FOR_EVERY_EVENT: u32 = 1_000;
/// More days than any history has.
const ALL_DAYS: i64 = 3_650;

#[test]
fn on_sqlite_every_order_ends_in_what_stripe_says() {
    every_order_ends_in_what_stripe_says(Engine::Sqlite);
}

#[test]
fn on_postgres_every_order_ends_in_what_stripe_says() {
    every_order_ends_in_what_stripe_says(Engine::Postgres);
}

fn every_order_ends_in_what_stripe_says(engine: Engine) {
    let seed = variable("TOLLGATE_SEED").unwrap_or_else(new_seed);
    let cases = variable("TOLLGATE_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(CASES);
    println!("TOLLGATE_SEED={seed} TOLLGATE_CASES={cases}");
    let failed = OnceLock::new();
    let outcomes: Vec<Result<BTreeSet<String>, String>> = std::thread::scope(|scope| {
        let failed = &failed;
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let cases = cases / LANES + u32::from(lane < cases % LANES);
                scope.spawn(move || Lane::new(engine, lane, failed).play(seed.wrapping_add(lane.into()), cases))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let mut told = BTreeSet::new();
    for outcome in outcomes {
        match outcome {
            Ok(events) => told.extend(events),
            Err(error) => panic!("TOLLGATE_SEED={seed} TOLLGATE_CASES={cases}\n{error}"),
        }
    }
    let untold: Vec<&str> = handled().into_iter().filter(|kind| !told.contains(*kind)).collect();
    assert!(cases < ENOUGH_FOR_EVERY_EVENT || untold.is_empty(), "no history told of {untold:?}");
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> String {
    let formatted = panic.downcast::<String>().map(|said| *said);
    formatted.unwrap_or_else(|panic| (*panic.downcast::<&str>().expect("panics are of words")).to_owned())
}

fn new_seed() -> u64 {
    u64::from_str_radix(&server::ids::new_secret().unwrap()[..16], 16).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how much is tested, only the test run knows")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A thread's own: everything of a history happens on it.
struct Lane<'a> {
    engine: Engine,
    number: u32,
    /// The first lane in which a history went wrong: the others need not go on.
    failed: &'a OnceLock<u32>,
    runtime: Runtime,
    browser: Browser,
    /// Where the nodes live; none after a history went wrong, for who knows how it left them.
    places: RefCell<Option<[Place; 3]>>,
    /// The types of events that there were.
    told: RefCell<BTreeSet<String>>,
    /// How many histories ended well.
    lived: Cell<u32>,
}

impl<'a> Lane<'a> {
    fn new(engine: Engine, number: u32, failed: &'a OnceLock<u32>) -> Self {
        Self {
            engine,
            number,
            failed,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            browser: Browser::new(""),
            places: RefCell::default(),
            told: RefCell::default(),
            lived: Cell::new(0),
        }
    }

    /// Plays so many histories, and tells what events there were; or what went wrong, in as few
    /// steps as it still goes wrong in.
    fn play(self, seed: u64, cases: u32) -> Result<BTreeSet<String>, String> {
        let config = Config {
            cases,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            max_shrink_iters: 60,
            ..Config::default()
        };
        let played = TestRunner::new(config).run(&history(), |steps| {
            if self.failed.get().is_some_and(|lane| *lane != self.number) {
                return Ok(());
            }
            // A failed assertion inside is a panic, which the runner is told of.
            let lived = catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(self.live(steps))));
            let lived = lived.map_err(|panic| TestCaseError::fail(said(panic)));
            match &lived {
                Err(_) => drop(self.failed.get_or_init(|| self.number)),
                // What is played again in fewer steps does not count.
                Ok(()) if self.failed.get().is_none() => self.lived.set(self.lived.get() + 1),
                Ok(()) => {}
            }
            lived
        });
        let lived = self.lived.get();
        played.map_err(|error| format!("after {lived} histories of lane {}: {error}", self.number))?;
        Ok(self.told.into_inner())
    }

    /// One history, from its first purchase to the comparison.
    async fn live(&self, steps: Vec<Step>) {
        let sandbox =
            sandbox::start(sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() });
        let sandbox = sandbox.await.unwrap();
        sandbox.hold_deliveries(true);
        add_endpoints(&sandbox);
        let [in_order, out_of_order, told_nothing] = self.places().await;
        let in_order = Node::start(in_order, &sandbox).await;
        let mut out_of_order = Node::start(out_of_order, &sandbox).await;
        catalog_apply::apply(&in_order.tollgate).await.unwrap();
        let stripe = Stripe::new(&sandbox, &self.browser);
        // Comparing with Stripe mends what was never told. So that it does not hide what was told and not
        // taken in, nothing is lost in every other history, and it is looked at before anything is compared.
        let loses = steps.first().is_some_and(|step| step.telling.seed % 2 == 0);
        let mut mail = Mail { loses, ..Mail::default() };

        let mut is_at_work = false;
        for step in steps {
            let perform = stripe.perform(step.what, step.who, &in_order.tollgate);
            if is_at_work {
                let happens = async {
                    perform.await;
                    let new = mail.tell_well(&sandbox, &in_order).await;
                    for event in new {
                        out_of_order.tell(&sandbox, &event, step.telling.old_shape).await;
                    }
                };
                tokio::join!(out_of_order.work(), happens);
            } else {
                perform.await;
                mail.tell_well(&sandbox, &in_order).await;
            }
            mail.tell_badly(&sandbox, &mut out_of_order, step.telling).await;
            is_at_work = step.telling.meanwhile && !step.telling.outage;
            if !is_at_work {
                out_of_order.work().await;
            }
            sandbox.fail_next(0, 500);
        }

        // Whoever was unknown is so no longer; leases of the dead and pauses after failures are over.
        stripe.introduce(&people()[STRANGER]).await;
        sandbox.advance(Duration::from_secs(2 * 3600));
        mail.tell_well(&sandbox, &in_order).await;
        for event in std::mem::take(&mut mail.waiting) {
            out_of_order.tell(&sandbox, &event, true).await;
        }
        out_of_order.work().await;
        let everything = Everything::of(&stripe).await;
        let truth = everything.as_told_by(&in_order.tollgate).await;
        if !loses {
            assert_settled(&out_of_order.tollgate).await;
            assert_same(&truth, &everything.as_told_by(&out_of_order.tollgate).await, "told everything, in any order");
        }
        let found = reconcile(&out_of_order.tollgate, Mode::Mend, ALL_DAYS).await.unwrap();
        out_of_order.work().await;
        assert_settled(&in_order.tollgate).await;
        assert_settled(&out_of_order.tollgate).await;
        // Where nothing was lost there is nothing to mend; where something was, a second run finds nothing.
        let left = if loses { reconcile(&out_of_order.tollgate, Mode::Mend, ALL_DAYS).await.unwrap() } else { found };
        assert!(left.iter().all(|finding| !finding.is_mended), "there is nothing to mend: {left:?}");

        let told_nothing = Node::start(told_nothing, &sandbox).await;
        reconcile(&told_nothing.tollgate, Mode::Mend, ALL_DAYS).await.unwrap();
        told_nothing.work().await;

        assert_same(&truth, &everything.as_told_by(&out_of_order.tollgate).await, "told out of order");
        assert_same(&truth, &everything.as_told_by(&told_nothing.tollgate).await, "told nothing");
        everything.assert_agrees(&in_order.tollgate).await;
        everything.assert_agrees_with_the_seller(&in_order.tollgate).await;
        for node in [&in_order, &out_of_order, &told_nothing] {
            assert_recorded(node).await;
        }
        self.told.borrow_mut().extend(mail.kinds);
        self.places.replace(Some([in_order.stop(), out_of_order.stop(), told_nothing.stop()]));
        sandbox.shutdown().await;
    }

    async fn places(&self) -> [Place; 3] {
        let kept = self.places.take();
        match kept {
            Some(places) => places,
            None => [Place::new(self.engine).await, Place::new(self.engine).await, Place::new(self.engine).await],
        }
    }
}

async fn assert_settled(tollgate: &Tollgate) {
    let mut open = Vec::new();
    for state in [EventState::Pending, EventState::Parked, EventState::Unmatched] {
        let filter = Filter { state: Some(state), about: None };
        open.extend(inbox::list(tollgate.db(), &filter, &After::start(), 1_000).await.unwrap());
    }
    assert!(open.is_empty(), "not settled: {open:#?}");
}

fn assert_same(truth: &[String], told: &[String], who: &str) {
    for (truth, told) in truth.iter().zip(told) {
        assert_eq!(truth, told, "{who}");
    }
    assert_eq!(truth.len(), told.len(), "{who}");
}

/// What is to be told to the node that hears everything badly.
#[derive(Default)]
struct Mail {
    heard: usize,
    waiting: Vec<String>,
    /// Whether some of it never arrives.
    loses: bool,
    /// The types of all that there was.
    kinds: BTreeSet<String>,
}

impl Mail {
    /// What Stripe has to say since the last time, in order.
    fn new_events(&mut self, sandbox: &Sandbox) -> Vec<String> {
        let all = sandbox.deliveries();
        let mut new = Vec::new();
        for delivery in &all[self.heard..] {
            self.kinds.insert(delivery.kind.clone());
            new.push(delivery.event.clone());
        }
        self.heard = all.len();
        // Each event is on its way to both endpoints.
        new.dedup();
        new
    }

    /// Tells what is new, in order, and has it applied. It waits to be told badly, too; what it is.
    async fn tell_well(&mut self, sandbox: &Sandbox, node: &Node) -> Vec<String> {
        let new = self.new_events(sandbox);
        for event in &new {
            node.tell(sandbox, event, false).await;
        }
        if !new.is_empty() {
            node.work().await;
        }
        self.waiting.extend(new.clone());
        new
    }

    /// Tells some of what is waiting: in any order, some of it twice, some of it later or never.
    async fn tell_badly(&mut self, sandbox: &Sandbox, node: &mut Node, telling: Telling) {
        let mut chance = Chance(telling.seed);
        if telling.restart {
            node.restart().await;
        }
        chance.shuffle(&mut self.waiting);
        let mut later = Vec::new();
        for event in std::mem::take(&mut self.waiting) {
            match chance.below(20) {
                // Never: comparing finds it.
                0 if self.loses => {}
                1..=5 => later.push(event),
                6..=8 => {
                    node.tell(sandbox, &event, telling.old_shape).await;
                    node.tell(sandbox, &event, !telling.old_shape).await;
                    later.push(event);
                }
                _ => node.tell(sandbox, &event, telling.old_shape).await,
            }
        }
        self.waiting = later;
        if telling.death {
            node.lose_a_worker().await;
        }
        if telling.outage {
            // Mostly it outlasts all tries of one request, and the events are put off.
            let (calls, status) = if chance.below(4) == 0 { (2, 500) } else { (u32::MAX, 401) };
            sandbox.fail_next(calls, status);
        }
    }
}

/// SplitMix64: the same seed tells the same story.
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
