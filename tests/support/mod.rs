//! One running Tollgate per test: its own database, its own sandbox, its own ports.

#![allow(dead_code, unused_imports, unused_macros, reason = "every test program uses its own part")]

mod browser;
mod database;
mod stripe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use billing::{AccountId, Catalog, EventId};
use sandbox::Sandbox;
use serde_json::Value;
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::store::inbox::EventState;
use server::store::{accounts, credits, inbox};
use server::{Db, Tollgate, access, catalog_apply, http, usage, webhook};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use browser::{Browser, Page};
pub use database::{Database, Engine};
pub use stripe::{DECLINES, PAYS, THREE_D_SECURE, deliver, event, pay, signed};

/// Declares tests that run on both engines.
macro_rules! on_both_engines {
    ($($(#[$doc:meta])* async fn $name:ident($engine:ident) $body:block)*) => {
        mod sqlite {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::bodies::$name(crate::support::Engine::Sqlite).await; })*
        }
        mod postgres {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::bodies::$name(crate::support::Engine::Postgres).await; })*
        }
        mod bodies {
            #[allow(unused_imports)]
            use super::*;
            $(pub async fn $name($engine: crate::support::Engine) $body)*
        }
    };
}
pub(crate) use on_both_engines;

/// What the app is started with besides the defaults.
pub const WEBHOOK_SECRETS: [&str; 2] = ["whsec_new_secret", "whsec_old_secret"];

/// A running Tollgate with its sandbox.
pub struct Harness {
    pub tollgate: Tollgate,
    pub sandbox: Sandbox,
    pub url: String,
    config: Config,
    stop: CancellationToken,
    tasks: TaskTracker,
    pub database: Database,
}

impl Harness {
    /// Starts everything on free ports.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, |_| {}).await
    }

    /// The same, after `prepare` has told the sandbox how to behave.
    pub async fn start_with(engine: Engine, prepare: impl FnOnce(&Sandbox)) -> Self {
        Self::start_configured(engine, prepare, |_| {}).await
    }

    /// The same, with another configuration than the environment of a test gives.
    pub async fn start_configured(
        engine: Engine,
        prepare: impl FnOnce(&Sandbox),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let sandbox = sandbox::start(sandbox::Config {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..sandbox::Config::development()
        })
        .await
        .unwrap();
        prepare(&sandbox);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let database = engine.fresh_database().await;
        let mut config = config(&url, &database.url, &sandbox.url());
        configure(&mut config);
        sandbox.add_endpoint(sandbox::Endpoint {
            url: format!("{url}/api/stripe/webhook"),
            secret: WEBHOOK_SECRETS[0].to_owned(),
            api_version: None,
        });

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let clock = Clock::ahead(sandbox.clock_offset());
        let tollgate = node(config.clone(), clock, listener, &stop, &tasks).await;
        catalog_apply::apply(&tollgate).await.unwrap();
        Self { tollgate, sandbox, url, config, stop, tasks, database }
    }

    /// Starts another node on the same database and the same Stripe; its address.
    pub async fn second_node(&self) -> String {
        self.another_node(|_| {}).await.0
    }

    /// The same, with another configuration than the first; its address and what it works with.
    pub async fn another_node(&self, configure: impl FnOnce(&mut Config)) -> (String, Tollgate) {
        let mut config = self.config.clone();
        configure(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = self.tollgate.clock().clone();
        (url, node(config, clock, listener, &self.stop, &self.tasks).await)
    }

    /// A browser with its own cookies, which follows no redirect by itself.
    pub fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// Somebody new, signed in.
    pub async fn signed_up(&self, email: &str) -> Browser {
        let browser = self.browser();
        let page = browser.post("/signup", &[("email", email), ("password", "correct horse")]).await;
        assert_eq!(page.status, 303, "sign-up failed:\n{}", page.body);
        browser
    }

    /// Sends the browser to Checkout for a plan and pays there. What Stripe answers at the end.
    pub async fn subscribe(&self, browser: &Browser, plan: &str, card: &str) -> Page {
        let checkout = self.open_checkout(browser, plan).await;
        pay(&checkout, card).await
    }

    /// Sends the browser to Checkout for a plan; Stripe's address.
    pub async fn open_checkout(&self, browser: &Browser, plan: &str) -> String {
        let page = browser.post("/api/billing/subscribe", &[("plan", plan), ("interval", "month")]).await;
        assert_eq!(page.status, 303, "no Checkout:\n{}", page.body);
        page.location()
    }

    /// Sends the browser to Checkout for something that is bought once and pays there.
    pub async fn buy(&self, browser: &Browser, product: &str, card: &str) -> Page {
        let page = browser.post("/api/billing/checkout", &[("product", product)]).await;
        assert_eq!(page.status, 303, "no Checkout:\n{}", page.body);
        pay(&page.location(), card).await
    }

    /// The account of somebody who has signed up.
    pub async fn account(&self, email: &str) -> AccountId {
        accounts::user_by_login(self.tollgate.db(), email).await.unwrap().expect("they have signed up").account_id
    }

    /// Extra AI generations that somebody has left.
    pub async fn credits(&self, email: &str) -> i64 {
        let balances = credits::balances(self.tollgate.db(), &self.account(email).await).await.unwrap();
        let of_meter = balances.into_iter().find(|(meter, ..)| meter == "aiGenerationsPerMonth");
        of_meter.map_or(0, |(_, granted, consumed)| granted - consumed)
    }

    /// Waits until every event that Stripe has sent was taken and applied, whoever applies it.
    pub async fn settled(&self) {
        let delivered = tokio::time::timeout(Duration::from_secs(30), self.sandbox.deliveries_settled()).await;
        delivered.expect("events are delivered in time");
        self.applied().await;
    }

    /// Waits until every event that was taken is applied.
    pub async fn applied(&self) {
        let applied = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            while inbox::next_due(self.tollgate.db()).await.unwrap().is_some() {
                pause.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), applied).await.expect("events are applied in time");
    }

    /// See [`until`].
    pub async fn until(&self, so: impl AsyncFn() -> bool) {
        until(so).await;
    }

    /// What became of an event; `None` when it was never written down.
    pub async fn standing(&self, event: &str) -> Option<EventState> {
        inbox::standing(self.tollgate.db(), &EventId::new(event)).await.unwrap().map(|(state, ..)| state)
    }

    /// Parks events as a worker does that has tried too often.
    pub async fn park(&self, events: &[&str]) {
        let (db, later) = (self.tollgate.db(), self.tollgate.now().plus_days(1));
        let mut tx = db.begin().await.unwrap();
        for event in events {
            assert!(inbox::replay(&mut tx, &EventId::new(*event), later).await.unwrap());
        }
        tx.commit().await.unwrap();
        let claimed = inbox::claim(db, "a test", later, later.plus_seconds(60), 100).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        for event in events {
            let lease = claimed.iter().find(|claimed| claimed.event_id == *event).unwrap().lease("a test");
            inbox::postpone(&mut tx, &lease, EventState::Parked, self.tollgate.now(), "for a test").await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Tells every node to stop, and waits until all have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(30), self.tasks.wait()).await.expect("they stop in time");
    }

    /// Makes something at Stripe behind our back; its id.
    pub async fn stripe_makes(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let request = Browser::new(&self.sandbox.url()).request(reqwest::Method::POST, path);
        let page = Page::of(request.bearer_auth("sk_test_sandbox").form(fields)).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.json()["id"].as_str().unwrap().to_owned()
    }

    /// Ends something at Stripe behind our back.
    pub async fn stripe_deletes(&self, path: &str) {
        let request = Browser::new(&self.sandbox.url()).request(reqwest::Method::DELETE, path);
        let page = Page::of(request.bearer_auth("sk_test_sandbox")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
    }

    /// What Stripe lists there, newest first.
    pub async fn stripe_lists(&self, path: &str) -> Vec<Value> {
        let request = Browser::new(&self.sandbox.url()).request(reqwest::Method::GET, path);
        let page = Page::of(request.bearer_auth("sk_test_sandbox")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.json()["data"].as_array().unwrap().clone()
    }

    /// The id of the newest that Stripe lists there.
    pub async fn stripe_newest(&self, path: &str) -> String {
        self.stripe_lists(path).await[0]["id"].as_str().unwrap().to_owned()
    }

    /// How many API calls of this kind Stripe has carried out.
    pub fn stripe_calls(&self, method: &str, path: &str) -> usize {
        self.sandbox.requests().iter().filter(|call| call.method == method && call.path == path).count()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The shipped catalogue, with API calls billed beyond the limit; `price` may add the price of a unit.
pub fn metered_catalog(price: &str) -> Arc<Catalog> {
    let meter = "key = \"apiCallsPerMonth\"\n";
    let billed = "overage = \"bill\"\nevent_name = \"api_calls\"\nlookup_key = \"api_calls\"\n";
    let plans = include_str!("../../plans.toml").replace(meter, &format!("{meter}{billed}{price}\n"));
    Arc::new(Catalog::parse(&plans, &|_| None).unwrap())
}

/// Waits until it is so, for at most a minute.
pub async fn until(so: impl AsyncFn() -> bool) {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while !so().await {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("it becomes so in time");
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The configuration of a test, as the environment would give it.
pub fn config(app_url: &str, database_url: &str, stripe: &str) -> Config {
    let value = |name: &str| {
        Some(match name {
            "APP_URL" => app_url.to_owned(),
            "DATABASE_URL" => database_url.to_owned(),
            "STRIPE_API_BASE" => stripe.to_owned(),
            "STRIPE_SECRET_KEY" => "sk_test_sandbox".to_owned(),
            "STRIPE_WEBHOOK_SECRET" => WEBHOOK_SECRETS.join(","),
            _ => return None,
        })
    };
    Config::from_lookup(&value).unwrap()
}

/// One node, whose clock goes with the sandbox's.
async fn node(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Tollgate {
    let db = Db::connect(&config.database_url).await.unwrap();
    db.migrate().await.unwrap();
    let tollgate = Tollgate::new(config, db, clock, assets()).unwrap();
    let router = http::router(&tollgate, app::pages(&tollgate).unwrap()).unwrap();
    tasks.spawn(webhook::worker::run(tollgate.clone(), stop.clone()));
    tasks.spawn(access::listen(tollgate.clone(), stop.clone()));
    tasks.spawn(usage::sweeper::run(tollgate.clone(), stop.clone()));
    let stopped = stop.clone().cancelled_owned();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move { axum::serve(listener, service).with_graceful_shutdown(stopped).await.unwrap() });
    tollgate
}

/// The files that the build made, or, for the HTTP tests alone, their names.
pub fn assets() -> Assets {
    let manifest = r#"{"script": "tollgate-0", "style": "style-0.css"}"#;
    let files = [
        ("manifest.json", manifest),
        ("pkg/style-0.css", "body{}"),
        ("pkg/style-0.css.br", "br"),
        ("robots.txt", "User-agent: *"),
    ];
    Assets::from_files(files.map(|(path, text)| (path.to_owned(), text.into()))).unwrap()
}
