//! The system under test: three nodes, their database and their Stripe.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use billing::EventId;
use engine::Db;
use engine::clock::Clock;
use engine::reconcile::{Mode, reconcile};
use engine::store::inbox::{self, EventState};
use sandbox::Sandbox;
use server::config::SANDBOX_WEBHOOK_SECRET;
use server::{Tollgate, store};

use crate::proxy;
use crate::support::{Database, DatabaseKind, assets, config, free_address, until};

/// The number of nodes.
pub const NODES: usize = 3;
/// Longer than the lease of an event or a reservation, so that the work of a killed node is taken over.
pub const UNTIL_LEASES_EXPIRE: Duration = Duration::from_secs(61);
/// An hour, after which Stripe repeats a failed delivery.
const HOUR: Duration = Duration::from_secs(3600);
/// The hours for which Stripe repeats deliveries: three days.
const HOURS_OF_RETRIES: usize = 72;

/// Three nodes behind a proxy.
pub struct System {
    /// The nodes' database.
    pub database: Database,
    /// A connection to it that no node uses.
    pub db: Db,
    /// The nodes' Stripe.
    pub sandbox: Sandbox,
    /// The address of the proxy, which is the app's.
    pub url: String,
    nodes: Vec<Node>,
}

struct Node {
    address: SocketAddr,
    process: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// Kills it in the middle of its work.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl System {
    /// Starts everything, and waits until every node responds.
    pub async fn start() -> Self {
        let database = DatabaseKind::Postgres.fresh_database().await;
        let site = database.files.path().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("manifest.json"), r#"{"script": "s", "style": "s.css"}"#).unwrap();
        let sandbox = sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() };
        let sandbox = sandbox::start(sandbox).await.unwrap();
        let addresses: Vec<SocketAddr> = (0..NODES).map(|_| free_address()).collect();
        let url = format!("http://{}", proxy::start(addresses.clone()).await);
        sandbox.add_endpoint(sandbox::Endpoint {
            url: format!("{url}/api/stripe/webhook"),
            secret: SANDBOX_WEBHOOK_SECRET.to_owned(),
            api_version: None,
        });
        let db = Db::connect(&config(&url, &database.url, &sandbox.url()).database_url).await.unwrap();
        store::migrate(&db).await.unwrap();
        let nodes = addresses.into_iter().map(|address| Node { address, process: None }).collect();
        let mut system = Self { database, db, sandbox, url, nodes };
        for node in 0..NODES {
            system.restart(node).await;
        }
        system
    }

    /// Kills a node. Soon afterwards the leases that it held expire.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
        self.sandbox.advance(UNTIL_LEASES_EXPIRE);
    }

    /// Starts a node, in development, where it finds the sandbox and follows its clock, and waits until it responds.
    pub async fn restart(&mut self, node: usize) {
        let address = self.nodes[node].address;
        let process = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("serve")
            .env_clear()
            .current_dir(self.database.files.path())
            .env("APP_URL", &self.url)
            .env("BIND_ADDR", address.to_string())
            .env("DATABASE_URL", &self.database.url)
            .env("SANDBOX_ADDR", self.sandbox.url().strip_prefix("http://").unwrap())
            .env("RECONCILE_SECONDS", "never")
            .env("TOLLGATE_SITE", "site")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.nodes[node].process = Some(process);
        let health = format!("http://{address}/healthz");
        until(async || reqwest::get(&health).await.is_ok()).await;
    }

    /// Makes the database unavailable until something has happened. If its server is this test's own, it crashes
    /// and is started again.
    #[expect(clippy::disallowed_methods, reason = "`make nightly` gives a server of its own")]
    pub async fn interrupt_database(&self, until: impl Future<Output = ()>) {
        let Ok(control) = std::env::var("TOLLGATE_TEST_POSTGRES_CONTROL") else {
            let outage = self.database.take_away().await;
            until.await;
            return outage.end().await;
        };
        let run = async |action: &str| {
            let mut command = tokio::process::Command::new("sh");
            let status = command.args(["-c", &format!("{control} {action}")]).status().await.unwrap();
            assert!(status.success(), "PostgreSQL does not {action}");
        };
        run("stop").await;
        until.await;
        run("start").await;
    }

    /// Waits until a delivery from Stripe has failed or got no response.
    pub async fn until_failed_delivery(&self) {
        let is_failure = |attempt: &Option<u16>| attempt.is_none_or(|status| status >= 500);
        until(async || self.sandbox.deliveries().iter().any(|delivery| delivery.attempts.iter().any(is_failure))).await;
    }

    /// Makes every call to Stripe fail.
    pub fn stop_stripe(&self) {
        self.sandbox.fail_next(u32::MAX, 500);
    }

    /// Ends the outage of Stripe. Soon afterwards the nodes try again.
    pub fn resume_stripe(&self) {
        self.sandbox.control("POST faults/clear", &[]).unwrap();
        self.sandbox.advance(UNTIL_LEASES_EXPIRE);
    }

    /// Waits until Stripe has delivered every event and the nodes have applied it, with the time that passes in between.
    pub async fn settle(&self) {
        for _ in 0..HOURS_OF_RETRIES {
            if self.sandbox.pending_deliveries().is_empty() && inbox::next_due(&self.db).await.unwrap().is_none() {
                break;
            }
            self.sandbox.advance(HOUR);
            let now = Clock::ahead(self.sandbox.clock_offset()).now();
            until(async || {
                let due = inbox::next_due(&self.db).await.unwrap();
                due.is_none_or(|due| due > now)
            })
            .await;
        }
        until(async || self.sandbox.pending_deliveries().is_empty()).await;
        until(async || inbox::next_due(&self.db).await.unwrap().is_none()).await;
    }

    /// Checks that every acknowledged event is stored and applied.
    pub async fn expect_acknowledged_events(&self) {
        for delivery in self.sandbox.deliveries() {
            let stored = inbox::by_id(&self.db, &EventId::new(&delivery.event)).await.unwrap();
            let state = stored.map(|event| event.state);
            assert!(matches!(state, Some(EventState::Done | EventState::Ignored)), "{delivery:?} is {state:?}");
        }
    }

    /// Checks that a comparison with Stripe finds no difference.
    pub async fn expect_state_of_stripe(&self) {
        let config = config(&self.url, &self.database.url, &self.sandbox.url());
        let tollgate =
            Tollgate::new(config, self.db.clone(), Clock::ahead(self.sandbox.clock_offset()), assets()).unwrap();
        let found = reconcile(&tollgate, Mode::DryRun, 30).await.unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
}
