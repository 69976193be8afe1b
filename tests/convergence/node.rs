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

/// Its own database, the sandbox's clock, and nothing that runs by itself.
pub struct Node {
    pub tollgate: Tollgate,
    router: Router,
    config: Config,
    /// Its endpoints at Stripe: in today's shape, and in the one before basil.
    endpoints: [String; 2],
    _database: Database,
}

/// The two people of every history: the same on every node.
pub fn people() -> [SignedIn; 2] {
    ["ada", "eve"].map(|name| SignedIn {
        user_id: UserId::new(format!("user-{name}")),
        account_id: AccountId::new(format!("account-{name}")),
        email: format!("{name}@example.com"),
        is_operator: false,
    })
}

impl Node {
    pub async fn start(engine: Engine, sandbox: &Sandbox, name: &str) -> Self {
        let database = engine.fresh_database().await;
        let url = format!("http://{name}.test");
        let config = config(&url, &database.url, &sandbox.url());
        let endpoints = [format!("{url}/now"), format!("{url}/then")];
        for (endpoint, version) in endpoints.iter().zip([None, Some("2024-06-20".to_owned())]) {
            let secret = WEBHOOK_SECRETS[0].to_owned();
            sandbox.add_endpoint(sandbox::Endpoint { url: endpoint.clone(), secret, api_version: version });
        }
        let tollgate = open(&config, Clock::ahead(sandbox.clock_offset())).await;
        for person in people() {
            let email = Email::parse(&person.email).unwrap();
            let user = NewUser {
                id: &person.user_id,
                account_id: &person.account_id,
                email: &email,
                password_hash: "none",
                at: tollgate.now(),
            };
            let mut tx = tollgate.db().begin().await.unwrap();
            assert!(accounts::insert_user(&mut tx, &user).await.unwrap());
            tx.commit().await.unwrap();
        }
        Self { router: router(&tollgate), tollgate, config, endpoints, _database: database }
    }

    /// Starts it anew on the same database: what was only in memory is gone.
    pub async fn restart(&mut self) {
        let clock = self.tollgate.clock().clone();
        self.tollgate.db().close().await;
        self.tollgate = open(&self.config, clock).await;
        self.router = router(&self.tollgate);
    }

    /// Delivers an event as Stripe does, in either shape.
    pub async fn tell(&self, sandbox: &Sandbox, event: &str, old_shape: bool) {
        let endpoint = &self.endpoints[usize::from(old_shape)];
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
}

async fn open(config: &Config, clock: Clock) -> Tollgate {
    let db = Db::connect(&config.database_url).await.unwrap();
    db.migrate().await.unwrap();
    Tollgate::new(config.clone(), db, clock, assets()).unwrap()
}

fn router(tollgate: &Tollgate) -> Router {
    http::router(tollgate, app::pages(tollgate).unwrap()).unwrap()
}
