//! The program is killed under a load of events, fifty times. No event that was acknowledged with 200
//! is lost, nothing is granted twice, and every month of a subscription is recorded once and
//! reported to the host.
//!
//! The sandbox keeps running, and the program follows its clock: between a kill and the next start a minute
//! passes, so that the leases of the killed process expire by themselves, as in production.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use billing::{AccountId, EventId, Tier, Timestamp};
use engine::Db;
use engine::store::billing_changes::{self, ChangeFilter, ChangeState};
use engine::store::inbox::{self, EventState};
use engine::store::subscriptions::{self, Revision};
use engine::store::{Cursor, credits};
use sandbox::Sandbox;
use serde_json::Value;
use server::config::{Config, SANDBOX_WEBHOOK_SECRET};
use server::store::{self, users};
use tokio::task::JoinSet;

use crate::support::{Browser, Database, DatabaseKind, PAYS, Page, config, free_address, pay, until};

const KILLS: usize = 50;
/// The subscription's length in months. The program is killed equally often in each.
const MONTHS: usize = 5;
const PURCHASES: usize = 30;
/// Longer than the lease of an event.
const UNTIL_LEASES_EXPIRE: Duration = Duration::from_secs(61);
/// Deliveries in progress at a time.
const CONCURRENT: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_no_acknowledged_event_is_lost_or_granted_twice() {
    survive(DatabaseKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_no_acknowledged_event_is_lost_or_granted_twice() {
    survive(DatabaseKind::Postgres).await;
}

async fn survive(kind: DatabaseKind) {
    let setting = Setting::new(kind).await;
    let first = setting.start().await;
    setting.sign_up().await;
    drop(first);
    let account = users::by_login(&setting.db, "ada@example.com").await.unwrap().unwrap().account_id;
    let customer = setting.customer(account.as_str()).await;
    setting.buy(&customer, account.as_str()).await;
    let subscription = setting.subscribe(&customer).await;

    let (mut answered, mut delivered) = (BTreeSet::new(), 0);
    for month in 0..MONTHS {
        if month > 0 {
            setting.renew(&subscription);
        }
        let events = setting.events();
        let new = &events[delivered..];
        for kill in (0..KILLS).filter(|kill| kill % MONTHS == month) {
            let running = setting.start_later().await;
            // The start in the list and the number of responses: different each time, the same in every run.
            let old = events.iter().cycle().skip(kill * 37).take(events.len());
            let load = old.chain(new).cloned().collect();
            answered.extend(setting.load_until_killed(running, load, 1 + kill * 7 % 60).await);
        }
        // Stripe redelivers unacknowledged events before the month is over.
        let running = setting.start_later().await;
        for event in new.iter().filter(|event| !answered.contains(*event)) {
            assert_eq!(setting.deliver(event).await, Some(200));
        }
        setting.settled().await;
        drop(running);
        delivered = events.len();
    }
    let events = setting.events();
    assert!(answered.len() > events.len() / 2, "the load reached {} of {} events", answered.len(), events.len());
    for event in &answered {
        let stored = inbox::by_id(&setting.db, &EventId::new(event)).await.unwrap();
        assert!(stored.is_some(), "{event} returned 200 and is lost");
    }

    let running = setting.start_later().await;
    for event in &events {
        assert_eq!(setting.deliver(event).await, Some(200));
    }
    setting.settled().await;
    let balances = credits::balances(&setting.db, &account).await.unwrap();
    let granted: i64 = balances.iter().map(|balance| balance.granted).sum();
    assert_eq!(granted, 500 * i64::try_from(PURCHASES).unwrap());
    setting.was_pro_in_every_month(&account).await;
    setting.reported_every_month(&account).await;
    for count in inbox::count_by_state(&setting.db).await.unwrap() {
        assert!(matches!(count.state, EventState::Done | EventState::Ignored), "{count:?}");
    }
    drop(running);
}

/// The program, killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL: it has no chance to clean up.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that outlives the program.
struct Setting {
    sandbox: Sandbox,
    db: Db,
    url: String,
    client: reqwest::Client,
    config: Config,
    database: Database,
}

impl Setting {
    async fn new(kind: DatabaseKind) -> Self {
        let database = kind.fresh_database().await;
        let site = database.files.path().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("manifest.json"), r#"{"script": "tollgate-0", "style": "style-0.css"}"#).unwrap();
        let sandbox = sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() };
        let sandbox = sandbox::start(sandbox).await.unwrap();
        sandbox.hold_deliveries(true);
        let url = format!("http://{}", free_address());
        let secret = SANDBOX_WEBHOOK_SECRET.to_owned();
        sandbox.add_endpoint(sandbox::Endpoint { url: webhook(&url), secret, api_version: None });
        let config = config(&url, &database.url, &sandbox.url());
        let db = Db::connect(&config.database_url).await.unwrap();
        store::migrate(&db).await.unwrap();
        Self { sandbox, db, url, client: reqwest::Client::new(), config, database }
    }

    /// Starts the program when the leases of the killed process have expired.
    async fn start_later(&self) -> Running {
        self.sandbox.advance(UNTIL_LEASES_EXPIRE);
        self.start().await
    }

    /// Starts the program in development, where it finds the sandbox and follows its clock, and waits
    /// until it responds.
    async fn start(&self) -> Running {
        let address = self.url.strip_prefix("http://").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("serve")
            .env_clear()
            .current_dir(self.database.files.path())
            .env("APP_URL", &self.url)
            .env("BIND_ADDR", address)
            .env("DATABASE_URL", &self.database.url)
            .env("SANDBOX_ADDR", self.sandbox.url().strip_prefix("http://").unwrap())
            .env("TOLLGATE_SITE", Path::new("site"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running(child);
        let health = format!("{}/healthz", self.url);
        until(async || self.client.get(&health).send().await.is_ok()).await;
        running
    }

    async fn sign_up(&self) {
        let fields = [("email", "ada@example.com"), ("password", "correct horse")];
        assert_eq!(Browser::new(&self.url).post("/signup", &fields).await.status, 303);
    }

    /// Creates the account's customer in Stripe, with a card.
    async fn customer(&self, account: &str) -> String {
        let fields = [("metadata[account_id]", account), ("email", "ada@example.com")];
        let customer = self.make("/v1/customers", &fields).await;
        let card = self.make("/v1/payment_methods/pm_card_visa/attach", &[("customer", &customer)]).await;
        let fields = [("invoice_settings[default_payment_method]", card.as_str())];
        self.make(&format!("/v1/customers/{customer}"), &fields).await
    }

    /// Subscribes the customer to Pro.
    async fn subscribe(&self, customer: &str) -> String {
        let price = self.price("tollgate_pro_month").await;
        self.make("/v1/subscriptions", &[("customer", customer), ("items[0][price]", &price)]).await
    }

    /// Advances the clock to the subscription's next month, and further until it is paid.
    fn renew(&self, subscription: &str) {
        let next = [("change", "renewal"), ("object", subscription)];
        self.sandbox.control("POST clock/next", &next).expect("it renews");
        self.sandbox.advance(Duration::from_secs(2 * 3600));
    }

    /// All events, oldest first.
    fn events(&self) -> Vec<String> {
        self.sandbox.deliveries().into_iter().map(|delivery| delivery.event).collect()
    }

    /// Buys packs in Stripe for the account, as its Checkout does.
    async fn buy(&self, customer: &str, account: &str) {
        let price = self.price("tollgate_ai_500").await;
        for _ in 0..PURCHASES {
            let fields = [
                ("mode", "payment"),
                ("customer", customer),
                ("client_reference_id", account),
                ("line_items[0][price]", &price),
                ("line_items[0][quantity]", "1"),
                ("success_url", "http://app.test/"),
            ];
            let session = self.call(reqwest::Method::POST, "/v1/checkout/sessions", &fields).await;
            assert_eq!(pay(session["url"].as_str().unwrap(), PAYS).await.status, 303);
        }
    }

    /// A price that the program created when it started.
    async fn price(&self, lookup_key: &str) -> String {
        let path = format!("/v1/prices?lookup_keys[]={lookup_key}");
        self.call(reqwest::Method::GET, &path, &[]).await["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Creates or changes an object in Stripe, and returns its id.
    async fn make(&self, path: &str, fields: &[(&str, &str)]) -> String {
        self.call(reqwest::Method::POST, path, fields).await["id"].as_str().unwrap().to_owned()
    }

    async fn call(&self, method: reqwest::Method, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = Browser::new(&self.sandbox.url()).request(method, path);
        let page = Page::of(request.bearer_auth("sk_test_sandbox").form(fields)).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.json()
    }

    /// Delivers an event, and returns the response's status; `None` without a response.
    async fn deliver(&self, event: &str) -> Option<u16> {
        let (payload, signature) = self.sandbox.signed(event, &webhook(&self.url)).unwrap();
        let request = self.client.post(webhook(&self.url)).header("stripe-signature", signature).body(payload);
        request.send().await.ok().map(|response| response.status().as_u16())
    }

    /// Delivers many events concurrently and kills the program after a number of responses. Returns the
    /// events acknowledged with 200.
    async fn load_until_killed(&self, running: Running, mut load: Vec<String>, answers: usize) -> Vec<String> {
        let mut answered = Vec::new();
        let mut in_progress = JoinSet::new();
        let mut running = Some(running);
        loop {
            while running.is_some() && in_progress.len() < CONCURRENT && !load.is_empty() {
                let event = load.pop().unwrap();
                let (payload, signature) = self.sandbox.signed(&event, &webhook(&self.url)).unwrap();
                let request = self.client.post(webhook(&self.url)).header("stripe-signature", signature).body(payload);
                in_progress.spawn(async move {
                    let status = request.send().await.ok().map(|response| response.status().as_u16());
                    (event, status)
                });
            }
            let Some(done) = in_progress.join_next().await else { return answered };
            if let (event, Some(200)) = done.unwrap() {
                answered.push(event);
            }
            if answered.len() >= answers {
                running = None;
            }
        }
    }

    /// Asserts that the account has had Pro from the first month on: each month was recorded once, and the
    /// next begins where it ends.
    async fn was_pro_in_every_month(&self, account: &AccountId) {
        let now = Timestamp(self.sandbox.now());
        let held = subscriptions::of_account(&self.db, account).await.unwrap();
        let entitlement = billing::entitlement(&held, &self.config.catalog, now);
        assert_eq!(entitlement.tier, Tier::new("PRO"), "{entitlement:?}");

        let mut recorded: Vec<Revision> = Vec::new();
        let mut at = now;
        while let Some(revision) = subscriptions::as_of(&self.db, account, at).await.unwrap().pop() {
            at = revision.written_at.plus_seconds(-1);
            recorded.push(revision);
        }
        recorded.reverse();
        assert_eq!(recorded.first().map(|first| first.version), Some(1), "{recorded:#?}");
        assert_eq!(recorded.last().map(|last| &last.subscription), held.first(), "the last revision is current");
        let months: Vec<_> = recorded.iter().map(|revision| revision.subscription.period()).collect();
        assert_eq!(months.len(), MONTHS, "{recorded:#?}");
        assert!(months.windows(2).all(|pair| pair[0].end == pair[1].start), "{months:?}");
    }

    /// Asserts that the host has accepted a change for each month, numbered in order.
    async fn reported_every_month(&self, account: &AccountId) {
        let filter = ChangeFilter { state: None, account: Some(account.clone()) };
        let changes = async || billing_changes::list(&self.db, &filter, &Cursor::start(), 100).await.unwrap();
        until(async || changes().await.iter().all(|change| change.state == ChangeState::Delivered)).await;
        let mut months: Vec<_> =
            changes().await.iter().map(|change| (change.number, change.after.period().start)).collect();
        months.sort();
        assert!(months.iter().map(|(number, _)| *number).eq((1..).take(MONTHS)), "{months:?}");
        assert!(months.windows(2).all(|pair| pair[0].1 < pair[1].1), "{months:?}");
    }

    /// Waits until every event is applied.
    async fn settled(&self) {
        until(async || inbox::next_due(&self.db).await.unwrap().is_none()).await;
    }
}

fn webhook(url: &str) -> String {
    format!("{url}/api/stripe/webhook")
}
