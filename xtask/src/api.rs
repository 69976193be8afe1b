//! The API held to its own description: schemathesis reads `/api/v1/openapi.json` from a running
//! server and asks whatever it allows and whatever it forbids, on both engines, as everybody whom
//! the API tells apart ([`Caller`]).
//!
//! Nothing may answer 500, every answer must be one that the description names, and a sound request
//! gets the answer that this caller is to get and no other.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::Context;

use crate::postgres::Cluster;
use crate::process::{self, interrupted, step};
use crate::project::Project;
use crate::report::{Running, Server, Visitor};
use crate::{run, site};

/// What every session asks for. There are no links from one call to the next, so there is no
/// stateful phase; every check is on.
const ARGUMENTS: [&str; 10] = [
    "--checks",
    "all",
    "--phases",
    "examples,coverage,fuzzing",
    "--seed",
    "1",
    "--request-timeout",
    "30",
    "--no-color",
    "--continue-on-failure",
];
/// Pro's limits as shipped, and such as nobody comes to.
const SHIPPED: &str = "limits = { apiCallsPerMonth = 10_000, aiGenerationsPerMonth = 500 }";
const AMPLE: &str = "limits = { apiCallsPerMonth = 10_000_000, aiGenerationsPerMonth = 10_000_000 }";
/// How long the end of a plan may take to be heard of.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the API tells apart, and what proves it.
enum Caller {
    /// An API key of Pro with units left.
    Key(String),
    /// The session of somebody on Free who has come to the limit.
    AtLimit(String),
    /// An API key of somebody whose plan has ended.
    Ended(String),
    /// Nobody.
    Nobody,
}

impl Caller {
    const fn name(&self) -> &'static str {
        match self {
            Self::Key(_) => "an API key of Pro",
            Self::AtLimit(_) => "somebody at the limit",
            Self::Ended(_) => "an API key without its plan",
            Self::Nobody => "nobody",
        }
    }

    fn header(&self) -> Option<String> {
        match self {
            Self::Key(key) | Self::Ended(key) => Some(format!("Authorization: Bearer {key}")),
            Self::AtLimit(cookie) => Some(format!("Cookie: {cookie}")),
            Self::Nobody => None,
        }
    }

    /// What a sound request is answered. An `Idempotency-Key` that was made up twice is 409, and an API
    /// key that was made up beside a session is 401.
    const fn expected(&self) -> &'static str {
        match self {
            Self::Key(_) => r#"["2xx", "409"]"#,
            Self::AtLimit(_) => r#"["401", "402"]"#,
            Self::Ended(_) => r#"["403"]"#,
            Self::Nobody => r#"["401"]"#,
        }
    }

    /// Who is refused whatever they send needs fewer examples, and is not refused the description.
    const fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Key(_) => &["--max-examples", "200"],
            _ => &["--max-examples", "60", "--exclude-path", "/api/v1/openapi.json", "--warnings", "off"],
        }
    }
}

/// Starts the development binary on each engine, has people come to where they are told apart, and asks.
pub fn run(project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
    let site = site::build(project)?;
    let server = Server { binary: run::build_server(project)?, site: Some(site), sandbox: true };
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let plans = folder.path().join("plans.toml");
    let shipped = fs::read_to_string(project.root.join("plans.toml")).context("plans.toml")?;
    anyhow::ensure!(shipped.contains(SHIPPED), "plans.toml no longer has Pro's limits as `{SHIPPED}`");
    fs::write(&plans, shipped.replace(SHIPPED, AMPLE)).context("a copy of plans.toml")?;

    let environment = [("TOLLGATE_PLANS", plans.into_os_string()), ("API_CALLS_PER_SECOND", "unlimited".into())];
    let on_postgres = ("DATABASE_URL", postgres.database("api")?.into());
    let engines = [("SQLite", environment.to_vec()), ("PostgreSQL", [&environment[..], &[on_postgres]].concat())];
    for (engine, environment) in engines {
        let running = Running::start_with(&server, &environment)?;
        fs::write(folder.path().join("openapi.json"), Visitor::of(&running).text("/api/v1/openapi.json")?)?;
        let subscriber = Visitor::of(&running).sign_up_as("ada@example.com")?;
        subscriber.subscribe("PRO")?;
        let key = subscriber.new_api_key()?;
        ask(&Caller::Key(key.clone()), engine, &running, folder.path(), rest)?;

        end_every_subscription(&running, &key)?;
        let at_limit = come_to_the_limit(&Visitor::of(&running).sign_up_as("grace@example.com")?)?;
        for caller in [Caller::Ended(key), Caller::AtLimit(at_limit), Caller::Nobody] {
            ask(&caller, engine, &running, folder.path(), rest)?;
        }
    }
    Ok(())
}

/// One session. The description is read from a file: schemathesis leaves out what it was read from.
fn ask(caller: &Caller, engine: &str, running: &Running, folder: &Path, rest: &[String]) -> anyhow::Result<()> {
    step(&format!("Asking the API on {engine} whatever its description allows and forbids, as {}", caller.name()));
    let program = env::var_os("SCHEMATHESIS").context("SCHEMATHESIS is not set; `make test` installs it")?;
    let expected = format!("[checks.positive_data_acceptance]\nexpected-statuses = {}\n", caller.expected());
    fs::write(folder.join("schemathesis.toml"), expected).context("no configuration")?;
    let mut command = Command::new(program);
    command.args(["run", "openapi.json", "--url", &running.origin]).args(ARGUMENTS).args(caller.arguments());
    if let Some(header) = caller.header() {
        command.args(["--header", &header]);
    }
    process::run(command.args(rest).current_dir(folder))
}

/// Somebody's session, once no more calls are let through.
fn come_to_the_limit(visitor: &Visitor<'_>) -> anyhow::Result<String> {
    for _ in 0..10_000 {
        if visitor.ask("/api/v1/usage")?.status() == 402 {
            return visitor.cookie.clone().context("nobody is signed in");
        }
    }
    anyhow::bail!("Free has no limit on calls")
}

/// Ends what was paid for, and waits until the key is refused.
fn end_every_subscription(running: &Running, key: &str) -> anyhow::Result<()> {
    running.end_subscriptions()?;
    let deadline = Instant::now() + PATIENCE;
    while running.status_for(key)? != 403 {
        anyhow::ensure!(Instant::now() < deadline && !interrupted(), "the API does not hear that a plan has ended");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
