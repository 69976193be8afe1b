//! Tests the API against its own description: schemathesis reads `/api/v1/openapi.json` from a running
//! server and generates valid and invalid requests, on both databases, for each kind of [`Caller`].
//!
//! No response may be a 500, every response must be documented, and a valid request must get the status
//! that its caller should get.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, bail, ensure};

use crate::postgres::Cluster;
use crate::process::{self, interrupted, step};
use crate::project::Project;
use crate::run;
use crate::server::{Running, Server};
use crate::visitor::Visitor;

/// Runs all checks. There is no stateful phase, because responses do not link to other operations.
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
/// Pro's limits as shipped, and limits that are never reached.
const SHIPPED: &str = "limits = { apiCallsPerMonth = 10_000, aiGenerationsPerMonth = 500 }";
const AMPLE: &str = "limits = { apiCallsPerMonth = 10_000_000, aiGenerationsPerMonth = 10_000_000 }";
/// The time within which a cancellation must reach the API.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The callers that the API distinguishes, with their credentials.
enum Caller {
    /// An API key of an account on Pro, within its limits.
    Key(String),
    /// The session of an account on Free that has reached its limit.
    AtLimit(String),
    /// An API key of an account whose plan has ended.
    Ended(String),
    /// A caller without credentials.
    Anonymous,
}

impl Caller {
    const fn name(&self) -> &'static str {
        match self {
            Self::Key(_) => "an API key on Pro",
            Self::AtLimit(_) => "an account at its limit",
            Self::Ended(_) => "an API key without a plan",
            Self::Anonymous => "an anonymous caller",
        }
    }

    fn header(&self) -> Option<String> {
        match self {
            Self::Key(key) | Self::Ended(key) => Some(format!("Authorization: Bearer {key}")),
            Self::AtLimit(cookie) => Some(format!("Cookie: {cookie}")),
            Self::Anonymous => None,
        }
    }

    /// Returns the statuses that valid requests may get: also 409 when a generated `Idempotency-Key`
    /// repeats, and 401 when a session comes with a generated API key.
    const fn expected(&self) -> &'static str {
        match self {
            Self::Key(_) => r#"["2xx", "409"]"#,
            Self::AtLimit(_) => r#"["401", "402"]"#,
            Self::Ended(_) => r#"["403"]"#,
            Self::Anonymous => r#"["401"]"#,
        }
    }

    /// Returns the arguments for this caller. When all requests are rejected, fewer examples are enough; the
    /// public description is excluded.
    const fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Key(_) => &["--max-examples", "100"],
            _ => &["--max-examples", "30", "--exclude-path", "/api/v1/openapi.json", "--warnings", "off"],
        }
    }
}

/// Runs schemathesis for every kind of caller, on both databases, against the development binary.
pub fn run(project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
    let (site, binary) = run::build(project)?;
    let server = Server { binary, site: Some(site), sandbox: true };
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let plans = folder.path().join("plans.toml");
    let shipped = fs::read_to_string(project.root.join("plans.toml")).context("plans.toml")?;
    ensure!(shipped.contains(SHIPPED), "plans.toml no longer has Pro's limits as `{SHIPPED}`");
    fs::write(&plans, shipped.replace(SHIPPED, AMPLE)).context("cannot copy plans.toml")?;

    let environment = [("TOLLGATE_PLANS", plans.into_os_string()), ("API_CALLS_PER_SECOND", "unlimited".into())];
    let on_postgres = ("DATABASE_URL", postgres.database("api")?.into());
    let databases = [("SQLite", environment.to_vec()), ("PostgreSQL", [&environment[..], &[on_postgres]].concat())];
    for (database, environment) in databases {
        let running = server.start(&environment)?;
        let session = Session { database, running: &running, folder: folder.path(), rest };
        session.test_every_caller()?;
    }
    Ok(())
}

/// A schemathesis session against a running server.
struct Session<'a> {
    database: &'static str,
    running: &'a Running,
    folder: &'a Path,
    rest: &'a [String],
}

impl Session<'_> {
    fn test_every_caller(&self) -> anyhow::Result<()> {
        let description = Visitor::of(self.running).get("/api/v1/openapi.json")?.text()?;
        fs::write(self.folder.join("openapi.json"), description).context("cannot write openapi.json")?;
        let subscriber = Visitor::of(self.running).sign_up("ada@example.com")?;
        subscriber.subscribe("PRO")?;
        let key = subscriber.new_api_key()?;
        self.test(&Caller::Key(key.clone()))?;

        self.end_subscriptions(&key)?;
        let at_limit = reach_limit(&Visitor::of(self.running).sign_up("grace@example.com")?)?;
        for caller in [Caller::Ended(key), Caller::AtLimit(at_limit), Caller::Anonymous] {
            self.test(&caller)?;
        }
        Ok(())
    }

    /// Runs schemathesis once. It reads the description from a file, because it would not test the path that
    /// it reads the description from.
    fn test(&self, caller: &Caller) -> anyhow::Result<()> {
        step(&format!("Testing the API against its description on {}, as {}", self.database, caller.name()));
        let program = env::var_os("SCHEMATHESIS").context("SCHEMATHESIS is not set; `make test` installs it")?;
        let expected = format!("[checks.positive_data_acceptance]\nexpected-statuses = {}\n", caller.expected());
        fs::write(self.folder.join("schemathesis.toml"), expected).context("cannot write schemathesis.toml")?;
        let mut command = Command::new(program);
        command.args(["run", "openapi.json", "--url", &self.running.origin]).args(ARGUMENTS).args(caller.arguments());
        if let Some(header) = caller.header() {
            command.args(["--header", &header]);
        }
        process::run(command.args(self.rest).current_dir(self.folder))
    }

    /// Cancels the subscription, and waits until the key is rejected.
    fn end_subscriptions(&self, key: &str) -> anyhow::Result<()> {
        self.running.end_subscriptions()?;
        let deadline = Instant::now() + WEBHOOK_TIMEOUT;
        while self.running.status_for(key)? != 403 {
            ensure!(Instant::now() < deadline && !interrupted(), "the cancellation did not reach the API");
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

/// Makes API calls until the limit is reached, and returns the session cookie.
fn reach_limit(visitor: &Visitor<'_>) -> anyhow::Result<String> {
    for _ in 0..10_000 {
        if visitor.request("/api/v1/usage")?.status() == 402 {
            return visitor.cookie.clone().context("the visitor is not signed in");
        }
    }
    bail!("Free has no limit on API calls")
}
