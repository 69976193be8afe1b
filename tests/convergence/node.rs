//! A node that is told of events one by one, by hand, over its real router.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use billing::email::Email;
use billing::{AccountId, UserId};
use sandbox::Sandbox;
use server::auth::SignedIn;
use server::clock::Clock;
use server::config::Config;
use server::store::accounts::{self, NewUser};
use server::store::inbox;
use server::webhook::worker;
use server::{Db, Tollgate, http};
use tower::ServiceExt;

use crate::support::{Database, Engine, WEBHOOK_SECRETS, assets, config};

/// Where every node is told of events: in today's shape, and in the one before basil.
const ENDPOINTS: [(&str, Option<&str>); 2] =
    [("http://node.test/now", None), ("http://node.test/then", Some("2024-06-20"))];

/// The place of the person whose customer an operator makes at Stripe. Who that is, is said later.
pub const STRANGER: usize = 2;

/// The people of every history: the same on every node.
pub fn people() -> [SignedIn; 3] {
    ["ada", "eve", "zoe"].map(|name| SignedIn {
        user_id: UserId::new(format!("user-{name}")),
        account_id: AccountId::new(format!("account-{name}")),
        email: format!("{name}@example.com"),
        is_operator: false,
    })
}

/// Registers the endpoints of the nodes.
pub fn add_endpoints(sandbox: &Sandbox) {
    for (url, version) in ENDPOINTS {
        let (secret, api_version) = (WEBHOOK_SECRETS[0].to_owned(), version.map(str::to_owned));
        sandbox.add_endpoint(sandbox::Endpoint { url: url.to_owned(), secret, api_version });
    }
}

/// A migrated database with its connections. It is made once and serves one node after the other,
/// because making one takes longer than many a history.
pub struct Place {
    database: Database,
    db: Db,
}

impl Place {
    pub async fn new(engine: Engine) -> Self {
        let database = engine.hasty_database().await;
        let db = open(&config("http://node.test", &database.url, "http://stripe.test")).await;
        Self { database, db }
    }
}

/// Its own database, the sandbox's clock, and nothing that runs by itself.
pub struct Node {
    pub tollgate: Tollgate,
    router: Router,
    config: Config,
    database: Database,
}

impl Node {
    /// Starts one that knows the people and nothing else.
    pub async fn start(place: Place, sandbox: &Sandbox) -> Self {
        let Place { database, db } = place;
        database.empty(&db).await;
        let config = config("http://node.test", &database.url, &sandbox.url());
        let tollgate = tollgate(&config, db, Clock::ahead(sandbox.clock_offset()));
        let mut tx = tollgate.db().begin().await.unwrap();
        for person in people() {
            let email = Email::parse(&person.email).unwrap();
            let user = NewUser {
                id: &person.user_id,
                account_id: &person.account_id,
                email: &email,
                password_hash: "none",
                at: tollgate.now(),
            };
            assert!(accounts::insert_user(&mut tx, &user).await.unwrap());
        }
        tx.commit().await.unwrap();
        Self { router: router(&tollgate), tollgate, config, database }
    }

    /// Ends it, and leaves its place to the next.
    pub fn stop(self) -> Place {
        Place { db: self.tollgate.db().clone(), database: self.database }
    }

    /// Starts it anew on the same database: what was only in memory is gone.
    pub async fn restart(&mut self) {
        let clock = self.tollgate.clock().clone();
        self.tollgate.db().close().await;
        self.tollgate = tollgate(&self.config, open(&self.config).await, clock);
        self.router = router(&self.tollgate);
    }

    /// Delivers an event as Stripe does, in either shape.
    pub async fn tell(&self, sandbox: &Sandbox, event: &str, old_shape: bool) {
        let (endpoint, _) = ENDPOINTS[usize::from(old_shape)];
        let (payload, signature) = sandbox.signed(event, endpoint).expect("the event is there");
        let request = Request::post("/api/stripe/webhook").header("stripe-signature", signature);
        let answer = self.router.clone().oneshot(request.body(Body::from(payload)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{event}");
    }

    /// Applies what is due.
    pub async fn work(&self) {
        worker::work_off(&self.tollgate).await;
    }

    /// A worker claims what is due and is never heard of again.
    pub async fn lose_a_worker(&self) {
        let now = self.tollgate.now();
        inbox::claim(self.tollgate.db(), "dead", now, now.plus_seconds(60), 64).await.unwrap();
    }

    /// What a query of one column of text says, a text for each row.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        self.database.texts(self.tollgate.db(), query).await
    }
}

async fn open(config: &Config) -> Db {
    let db = Db::connect(&config.database_url).await.unwrap();
    db.migrate().await.unwrap();
    db
}

fn tollgate(config: &Config, db: Db, clock: Clock) -> Tollgate {
    Tollgate::new(config.clone(), db, clock, assets()).unwrap()
}

fn router(tollgate: &Tollgate) -> Router {
    http::router(tollgate, app::pages(tollgate).unwrap()).unwrap()
}
