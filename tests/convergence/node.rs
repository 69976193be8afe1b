//! A node that receives events one by one, over its real router, and applies them on request.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use billing::Catalog;
use engine::clock::Clock;
use engine::store::inbox;
use engine::{Billable, Db};
use sandbox::Sandbox;
use server::config::Config;
use server::{Tollgate, http, store};
use tower::ServiceExt;

use crate::support::{Database, DatabaseKind, WEBHOOK_SECRETS, assets, config};

/// The endpoints of every node: one for events in today's API version, one in a version before basil.
const ENDPOINTS: [(&str, Option<&str>); 2] =
    [("http://node.test/now", None), ("http://node.test/then", Some("2024-06-20"))];

/// The index of the person whose customer an operator creates in Stripe, and links to the account only
/// later.
pub const UNLINKED: usize = 2;

/// The people of every history: the same on every node.
pub fn people() -> [Billable; 3] {
    ["ada", "eve", "zoe"].map(|name| Billable::new(format!("account-{name}"), format!("{name}@example.com")))
}

/// Registers the endpoints of the nodes.
pub fn add_endpoints(sandbox: &Sandbox) {
    for (url, version) in ENDPOINTS {
        let (secret, api_version) = (WEBHOOK_SECRETS[0].to_owned(), version.map(str::to_owned));
        sandbox.add_endpoint(sandbox::Endpoint { url: url.to_owned(), secret, api_version });
    }
}

/// A migrated database with its connections. It is created once and serves one node after the other,
/// because creating one takes longer than many histories.
pub struct Place {
    database: Database,
    db: Db,
}

impl Place {
    pub async fn new(kind: DatabaseKind) -> Self {
        let database = kind.fresh_database().await;
        let db = open(&config("http://node.test", &database.url, "http://stripe.test")).await;
        Self { database, db }
    }
}

/// A node with its own database and the sandbox's clock. Nothing runs in the background.
pub struct Node {
    pub tollgate: Tollgate,
    router: Router,
    config: Config,
    database: Database,
}

impl Node {
    /// Starts a node whose database holds the accounts of the people and nothing else.
    pub async fn start(place: Place, sandbox: &Sandbox) -> Self {
        let Place { database, db } = place;
        database.empty(&db).await;
        let config = Config { catalog: catalog(), ..config("http://node.test", &database.url, &sandbox.url()) };
        let tollgate = tollgate(&config, db, Clock::ahead(sandbox.clock_offset()));
        for person in people() {
            tollgate.ensure_account(&person).await.unwrap();
        }
        Self { router: router(&tollgate), tollgate, config, database }
    }

    /// Stops it, and returns its database for the next node.
    pub fn stop(self) -> Place {
        Place { db: self.tollgate.db().clone(), database: self.database }
    }

    /// Restarts it on the same database, without its in-memory state.
    pub async fn restart(&mut self) {
        let clock = self.tollgate.clock().clone();
        self.tollgate.db().close().await;
        self.tollgate = tollgate(&self.config, open(&self.config).await, clock);
        self.router = router(&self.tollgate);
    }

    /// Delivers an event as Stripe does, in either API version.
    pub async fn deliver(&self, sandbox: &Sandbox, event: &str, old_version: bool) {
        let (endpoint, _) = ENDPOINTS[usize::from(old_version)];
        let (payload, signature) = sandbox.signed(event, endpoint).expect("the event exists");
        let request = Request::post("/api/stripe/webhook").header("stripe-signature", signature);
        let response = self.router.clone().oneshot(request.body(Body::from(payload)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{event}");
    }

    /// Applies the events that are due.
    pub async fn work(&self) {
        self.tollgate.drain().await;
    }

    /// A worker claims the events that are due, and crashes.
    pub async fn lose_a_worker(&self) {
        let now = self.tollgate.now();
        inbox::claim(self.tollgate.db(), "dead", now, now.plus_seconds(60), 64).await.unwrap();
    }

    /// The rows of a query with one column of text.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        self.database.texts(self.tollgate.db(), query).await
    }
}

/// The shipped catalog, but access depends on disputes and refunds too.
fn catalog() -> Arc<Catalog> {
    let plans = include_str!("../../plans.toml")
        .replace("on_dispute = \"flag\"", "on_dispute = \"suspend\"")
        .replace("on_full_refund = \"keep\"", "on_full_refund = \"end_access\"");
    Arc::new(Catalog::parse(&plans, &|_| None).unwrap())
}

async fn open(config: &Config) -> Db {
    let db = Db::connect(&config.database_url).await.unwrap();
    store::migrate(&db).await.unwrap();
    db
}

fn tollgate(config: &Config, db: Db, clock: Clock) -> Tollgate {
    Tollgate::new(config.clone(), db, clock, assets()).unwrap()
}

fn router(tollgate: &Tollgate) -> Router {
    http::router(tollgate, app::pages(tollgate).unwrap()).unwrap()
}
