//! The program is killed in the middle of a load of events, fifty times. What was answered with 200
//! is never lost, and nothing is granted twice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use billing::EventId;
use sandbox::Sandbox;
use serde_json::Value;
use server::Db;
use server::store::inbox::{self, EventState};
use server::store::{accounts, credits};
use tokio::task::JoinSet;

use crate::support::{Browser, Database, Engine, PAYS, Page, WEBHOOK_SECRETS, config, pay};

const KILLS: usize = 50;
const PURCHASES: usize = 30;
/// Deliveries under way at a time.
const AT_ONCE: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_nothing_that_was_answered_is_lost_or_granted_twice() {
    survive(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_nothing_that_was_answered_is_lost_or_granted_twice() {
    survive(Engine::Postgres).await;
}

async fn survive(engine: Engine) {
    let house = House::new(engine).await;
    let first = house.start().await;
    house.sign_up().await;
    drop(first);
    let account = accounts::user_by_login(&house.db, "ada@example.com").await.unwrap().unwrap().account_id;
    house.buy(account.as_str()).await;

    let events: Vec<String> = house.sandbox.deliveries().into_iter().map(|delivery| delivery.event).collect();
    let mut answered = BTreeSet::new();
    for kill in 0..KILLS {
        let running = house.start().await;
        // Where in the list, and after how many answers: different every time, and the same in every run.
        let load = events.iter().cycle().skip(kill * 37).take(events.len()).cloned().collect();
        answered.extend(house.load_until_killed(running, load, 1 + kill * 7 % 60).await);
    }
    assert!(answered.len() > events.len() / 2, "the load reached {} of {} events", answered.len(), events.len());
    for event in &answered {
        let standing = inbox::standing(&house.db, &EventId::new(event)).await.unwrap();
        assert!(standing.is_some(), "{event} was answered with 200 and is gone");
    }

    // Those that died held leases; their time passes.
    house.let_leases_run_out().await;
    let running = house.start().await;
    for event in &events {
        assert_eq!(house.deliver(event).await, Some(200));
    }
    house.settled().await;
    let balances = credits::balances(&house.db, &account).await.unwrap();
    let granted: i64 = balances.iter().map(|(_, granted, _)| granted).sum();
    assert_eq!(granted, 500 * i64::try_from(PURCHASES).unwrap());
    for (state, count) in inbox::count_by_state(&house.db).await.unwrap() {
        assert!(matches!(state, EventState::Done | EventState::Ignored), "{count} events are {}", state.as_str());
    }
    drop(running);
}

/// The program, killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL: it gets no chance to put anything in order.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that outlives the program.
struct House {
    sandbox: Sandbox,
    db: Db,
    url: String,
    client: reqwest::Client,
    database: Database,
}

impl House {
    async fn new(engine: Engine) -> Self {
        let database = engine.fresh_database().await;
        let site = database.files.path().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("manifest.json"), r#"{"script": "tollgate-0", "style": "style-0.css"}"#).unwrap();
        let sandbox = sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() };
        let sandbox = sandbox::start(sandbox).await.unwrap();
        sandbox.hold_deliveries(true);
        let url = format!("http://{}", free_address());
        let secret = WEBHOOK_SECRETS[0].to_owned();
        sandbox.add_endpoint(sandbox::Endpoint { url: webhook(&url), secret, api_version: None });
        let config = config(&url, &database.url, &sandbox.url());
        let db = Db::connect(&config.database_url).await.unwrap();
        db.migrate().await.unwrap();
        Self { sandbox, db, url, client: reqwest::Client::new(), database }
    }

    /// Starts the program and waits until it answers.
    async fn start(&self) -> Running {
        let address = self.url.strip_prefix("http://").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("serve")
            .env_clear()
            .current_dir(self.database.files.path())
            .env("APP_URL", &self.url)
            .env("BIND_ADDR", address)
            .env("DATABASE_URL", &self.database.url)
            .env("STRIPE_API_BASE", self.sandbox.url())
            .env("STRIPE_SECRET_KEY", "sk_test_sandbox")
            .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRETS.join(","))
            .env("TOLLGATE_SITE", Path::new("site"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running(child);
        let answers = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            while self.client.get(format!("{}/healthz", self.url)).send().await.is_err() {
                pause.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answers).await.expect("it comes up");
        running
    }

    async fn sign_up(&self) {
        let fields = [("email", "ada@example.com"), ("password", "correct horse")];
        assert_eq!(Browser::new(&self.url).post("/signup", &fields).await.status, 303);
    }

    /// Buys packs at Stripe for the account, as its Checkout does.
    async fn buy(&self, account: &str) {
        let customer =
            self.make("/v1/customers", &[("metadata[account_id]", account), ("email", "ada@example.com")]).await;
        let price = [
            ("currency", "usd"),
            ("unit_amount", "1500"),
            ("product_data[name]", "Pack"),
            ("lookup_key", "tollgate_ai_500"),
        ];
        let price = self.make("/v1/prices", &price).await;
        for _ in 0..PURCHASES {
            let fields = [
                ("mode", "payment"),
                ("customer", customer["id"].as_str().unwrap()),
                ("client_reference_id", account),
                ("line_items[0][price]", price["id"].as_str().unwrap()),
                ("line_items[0][quantity]", "1"),
                ("success_url", "http://app.test/"),
            ];
            let session = self.make("/v1/checkout/sessions", &fields).await;
            assert_eq!(pay(session["url"].as_str().unwrap(), PAYS).await.status, 303);
        }
    }

    async fn make(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = Browser::new(&self.sandbox.url()).request(reqwest::Method::POST, path);
        let page = Page::of(request.bearer_auth("sk_test_sandbox").form(fields)).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.json()
    }

    /// Delivers an event; `None` when there was no answer.
    async fn deliver(&self, event: &str) -> Option<u16> {
        let (payload, signature) = self.sandbox.signed(event, &webhook(&self.url)).unwrap();
        let request = self.client.post(webhook(&self.url)).header("stripe-signature", signature).body(payload);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// Delivers many events at once and kills the program after so many answers. Which events were answered with 200.
    async fn load_until_killed(&self, running: Running, mut load: Vec<String>, answers: usize) -> Vec<String> {
        let mut answered = Vec::new();
        let mut under_way = JoinSet::new();
        let mut running = Some(running);
        loop {
            while running.is_some() && under_way.len() < AT_ONCE && !load.is_empty() {
                let event = load.pop().unwrap();
                let (payload, signature) = self.sandbox.signed(&event, &webhook(&self.url)).unwrap();
                let request = self.client.post(webhook(&self.url)).header("stripe-signature", signature).body(payload);
                under_way.spawn(async move {
                    let status = request.send().await.ok().map(|answer| answer.status().as_u16());
                    (event, status)
                });
            }
            let Some(done) = under_way.join_next().await else { return answered };
            if let (event, Some(200)) = done.unwrap() {
                answered.push(event);
            }
            if answered.len() >= answers {
                running = None;
            }
        }
    }

    async fn let_leases_run_out(&self) {
        let mut tx = self.db.begin().await.unwrap();
        inbox::release_all(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Waits until every event is applied.
    async fn settled(&self) {
        let applied = async {
            let mut pause = tokio::time::interval(Duration::from_millis(20));
            while inbox::next_due(&self.db).await.unwrap().is_some() {
                pause.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), applied).await.expect("events are applied in time");
    }
}

fn webhook(url: &str) -> String {
    format!("{url}/api/stripe/webhook")
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
