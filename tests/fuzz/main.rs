//! No input makes the app panic or return 500.
//!
//! Valid requests are changed in one part: the signature or body of a webhook, a form, a query, a path, a
//! cookie, an API key, an `Idempotency-Key` or another header, or a JSON body (`examples`). Bytes are
//! flipped, removed, repeated and replaced, trees of JSON get other values and other shapes (`mutation`).
//! Each changed request goes through the whole router, and the events that are accepted are applied.
//!
//! `TOLLGATE_INPUTS` sets the number of inputs, half of them for each database (a million at night), and
//! `TOLLGATE_SEED` repeats a run. A failing input is shrunk and printed.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod examples;
mod input;
mod mutation;

use std::sync::{Mutex, Once, PoisonError};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use tokio::runtime::Runtime;

use crate::app::App;
use crate::examples::Example;
use crate::input::{Input, input};
use crate::support::DatabaseKind;

/// The number of inputs, unless `TOLLGATE_INPUTS` says otherwise.
const INPUTS: u32 = 10_000;

#[test]
fn on_sqlite_no_input_causes_a_panic_or_500() {
    no_input_causes_a_panic_or_500(DatabaseKind::Sqlite);
}

#[test]
fn on_postgres_no_input_causes_a_panic_or_500() {
    no_input_causes_a_panic_or_500(DatabaseKind::Postgres);
}

fn no_input_causes_a_panic_or_500(database: DatabaseKind) {
    let seed = variable("TOLLGATE_SEED").unwrap_or_else(new_seed);
    let inputs = variable("TOLLGATE_INPUTS").and_then(|inputs| u32::try_from(inputs).ok()).unwrap_or(INPUTS);
    println!("TOLLGATE_SEED={seed} TOLLGATE_INPUTS={inputs}");
    let runtime = runtime(database);
    let (app, examples) = runtime.block_on(async {
        let app = App::start(database).await;
        let events = app.events().await;
        let examples = examples::examples(&app, events);
        (app, examples)
    });
    runtime.block_on(are_understood(&app, &examples));
    let config = Config {
        cases: inputs.div_ceil(2),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&input(&examples), |input: Input| {
        let request = input.request(&app, &examples[input.example].1);
        let shown = request.to_string();
        let outcome = match runtime.block_on(app.send(request.into_http())) {
            Ok((status, body)) if status >= 500 => Err(format!("the response is {status}:\n{body}")),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let outcome = outcome.and_then(|()| panics(database).map_or(Ok(()), Err));
        outcome.map_err(|error| TestCaseError::fail(format!("{shown}\n{error}")))
    });
    let outcome = outcome.map_err(|error| error.to_string()).and_then(|()| runtime.block_on(app.serves()));
    if let Err(error) = outcome {
        panic!("TOLLGATE_SEED={seed} TOLLGATE_INPUTS={inputs}\n{error}");
    }
}

/// Sends every example unchanged: one that is rejected because of its fields tests nothing behind them.
async fn are_understood(app: &App, examples: &[(u32, Example)]) {
    for (number, (_, example)) in examples.iter().enumerate() {
        let request = Input::unchanged(number).request(app, example);
        let shown = request.to_string();
        let (_, body) = app.send(request.into_http()).await.unwrap();
        let is_malformed = ["Invalid form</h1>", "\"code\":\"malformed\""].iter().any(|text| body.contains(text));
        assert!(!is_malformed, "{shown}");
    }
}

/// A runtime whose threads are named after the database, so that its panics are known.
fn runtime(database: DatabaseKind) -> Runtime {
    static RECORD: Once = Once::new();
    RECORD.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push((thread, panic.to_string()));
            show(panic);
        }));
    });
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).thread_name(format!("{database:?}")).enable_all().build().unwrap()
}

/// Every panic so far, with the name of its thread.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// A panic of the app on that database, also in a task that no request waits for.
fn panics(database: DatabaseKind) -> Option<String> {
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = panics.iter().position(|(thread, _)| *thread == format!("{database:?}"))?;
    Some(panics.remove(at).1)
}

fn new_seed() -> u64 {
    u64::from_str_radix(&engine::ids::new_secret().unwrap()[..16], 16).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test run sets the number of inputs")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
