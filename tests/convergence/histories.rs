//! Random lives of customers, told in order and out of order.

use std::any::Any;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use sandbox::Sandbox;
use server::reconcile::{Mode, reconcile};
use server::store::After;
use server::store::inbox::{self, EventState, Filter};
use server::{Tollgate, catalog_apply};

use crate::history::{Step, Telling, history};
use crate::node::{Node, people};
use crate::snapshot::Everything;
use crate::stripe::Stripe;
use crate::support::Engine;

/// How many histories each engine is told, unless `TOLLGATE_CASES` says otherwise.
const CASES: u32 = 100;
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
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = TestRunner::new(config).run(&history(), |steps| {
        // A failed assertion inside is a panic of the task, which the runner is told of.
        let told = runtime.block_on(async { tokio::spawn(live(engine, steps)).await });
        told.map_err(|panic| TestCaseError::fail(said(panic.into_panic())))
    });
    if let Err(error) = outcome {
        panic!("TOLLGATE_SEED={seed} TOLLGATE_CASES={cases}\n{error}");
    }
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

/// One history, from its first purchase to the comparison.
async fn live(engine: Engine, steps: Vec<Step>) {
    let sandbox =
        sandbox::start(sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() });
    let sandbox = sandbox.await.unwrap();
    sandbox.hold_deliveries(true);
    let in_order = Node::start(engine, &sandbox, "in-order").await;
    let mut out_of_order = Node::start(engine, &sandbox, "out-of-order").await;
    catalog_apply::apply(&in_order.tollgate).await.unwrap();
    let stripe = Stripe { sandbox: &sandbox };
    // Comparing with Stripe mends what was never told. So that it does not hide what was told and not
    // taken in, nothing is lost in every other history, and it is looked at before anything is compared.
    let loses = steps.first().is_some_and(|step| step.telling.seed % 2 == 0);
    let mut mail = Mail { loses, ..Mail::default() };

    for step in steps {
        stripe.perform(step.what, &people()[step.who], step.who, &in_order.tollgate).await;
        for event in mail.new_events(&sandbox) {
            in_order.tell(&sandbox, &event, false).await;
            mail.waiting.push(event);
        }
        in_order.work().await;
        mail.tell_badly(&sandbox, &mut out_of_order, step.telling).await;
    }

    // Leases of the dead and pauses after failures are over by then.
    sandbox.advance(Duration::from_secs(2 * 3600));
    for event in mail.new_events(&sandbox) {
        in_order.tell(&sandbox, &event, false).await;
        mail.waiting.push(event);
    }
    in_order.work().await;
    for event in std::mem::take(&mut mail.waiting) {
        out_of_order.tell(&sandbox, &event, true).await;
    }
    out_of_order.work().await;
    let everything = Everything::of(&sandbox).await;
    let truth = everything.as_told_by(&in_order.tollgate).await;
    if !loses {
        assert_settled(&out_of_order.tollgate).await;
        assert_same(&truth, &everything.as_told_by(&out_of_order.tollgate).await, "told everything, in any order");
    }
    reconcile(&out_of_order.tollgate, Mode::Mend, ALL_DAYS).await.unwrap();
    out_of_order.work().await;
    assert_settled(&in_order.tollgate).await;
    assert_settled(&out_of_order.tollgate).await;
    let again = reconcile(&out_of_order.tollgate, Mode::Mend, ALL_DAYS).await.unwrap();
    assert!(again.iter().all(|finding| !finding.is_mended), "a second run mends nothing: {again:?}");

    let told_nothing = Node::start(engine, &sandbox, "told-nothing").await;
    reconcile(&told_nothing.tollgate, Mode::Mend, ALL_DAYS).await.unwrap();
    told_nothing.work().await;

    assert_same(&truth, &everything.as_told_by(&out_of_order.tollgate).await, "told out of order");
    assert_same(&truth, &everything.as_told_by(&told_nothing.tollgate).await, "told nothing");
    everything.assert_agrees(&in_order.tollgate).await;
    for node in [&in_order, &out_of_order, &told_nothing] {
        node.tollgate.db().close().await;
    }
    sandbox.shutdown().await;
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
}

impl Mail {
    /// What Stripe has to say since the last time, in order.
    fn new_events(&mut self, sandbox: &Sandbox) -> Vec<String> {
        let mut all: Vec<String> = sandbox.deliveries().into_iter().map(|delivery| delivery.event).collect();
        // Each event is on its way to several endpoints.
        all.dedup();
        let new = all.split_off(self.heard.min(all.len()));
        self.heard += new.len();
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
            sandbox.fail_next(2, 500);
        }
        node.work().await;
        sandbox.fail_next(0, 500);
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
