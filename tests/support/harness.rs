//! The app as the binary serves it, next to a sandbox.

use std::net::SocketAddr;
use std::time::Duration;

use billing::email::Email;
use billing::{AccountId, EventId};
use engine::catalog;
use engine::clock::Clock;
use engine::store::inbox::{self, EventState, Next};
use engine::store::{Db, credits};
use engine::stripe_account;
use sandbox::Sandbox;
use serde_json::Value;
use server::admin::OperatorPermit;
use server::admin::roles::set_role;
use server::auth::session_store;
use server::config::Config;
use server::hashing::HashingLimits;
use server::store::users::{self, Role, User};
use server::{Tollgate, http, store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::browser::{Browser, Page};
use super::config::{WEBHOOK_SECRETS, assets, config, metered_catalog};
use super::database::{Database, DatabaseKind};
use super::stripe::{PAYS, pay};
use super::wait::{AT_MOST, until};

/// A running Tollgate with its sandbox.
pub struct Harness {
    /// The first node's state.
    pub tollgate: Tollgate,
    /// Its Stripe.
    pub sandbox: Sandbox,
    /// The first node's address.
    pub url: String,
    config: Config,
    stop: CancellationToken,
    nodes: TaskTracker,
    /// The database of all nodes. The last field: it is dropped after everything that uses it.
    pub database: Database,
}

impl Harness {
    /// Starts everything on free ports.
    pub async fn start(kind: DatabaseKind) -> Self {
        Self::start_with(kind, |_| {}).await
    }

    /// Like [`Self::start`], after `prepare` has set up the sandbox.
    pub async fn start_with(kind: DatabaseKind, prepare: impl FnOnce(&Sandbox)) -> Self {
        Self::start_configured(kind, prepare, |_| {}).await
    }

    /// Starts with API calls billed beyond the limit, at a price from `plans.toml` or one managed in Stripe.
    pub async fn start_metered(kind: DatabaseKind, price: &str) -> Self {
        Self::start_configured(kind, |_| {}, |config| config.catalog = metered_catalog(price)).await
    }

    /// The same, with a changed configuration.
    pub async fn start_configured(
        kind: DatabaseKind,
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
        let (listener, url) = listen().await;
        let database = kind.fresh_database().await;
        // Long enough for a slow machine.
        let hashing = HashingLimits { wait: AT_MOST, ..HashingLimits::default() };
        // Tests that compare with Stripe do so themselves.
        let mut config = Config { reconcile: None, hashing, ..config(&url, &database.url, &sandbox.url()) };
        configure(&mut config);
        sandbox.add_endpoint(sandbox::Endpoint {
            url: format!("{url}/api/stripe/webhook"),
            secret: WEBHOOK_SECRETS[0].to_owned(),
            api_version: None,
        });

        let (stop, nodes) = (CancellationToken::new(), TaskTracker::new());
        let clock = Clock::ahead(sandbox.clock_offset());
        let tollgate = start_node(config.clone(), clock, listener, &stop, &nodes).await;
        catalog::apply_all(tollgate.gateway(), tollgate.catalog()).await.unwrap();
        Self { tollgate, sandbox, url, config, stop, nodes, database }
    }

    /// Starts another node on the same database and the same Stripe, and returns its address.
    pub async fn second_node(&self) -> String {
        self.another_node(|_| {}).await.0
    }

    /// The same, with a different configuration from the first. Returns its address and state.
    pub async fn another_node(&self, configure: impl FnOnce(&mut Config)) -> (String, Tollgate) {
        let mut config = self.config.clone();
        configure(&mut config);
        let (listener, url) = listen().await;
        let clock = self.tollgate.clock().clone();
        (url, start_node(config, clock, listener, &self.stop, &self.nodes).await)
    }

    /// A node on the same database that serves nothing and has no background tasks, with a different configuration
    /// and its own clock.
    pub fn idle_node(&self, configure: impl FnOnce(&mut Config), clock: &Clock) -> Tollgate {
        let mut config = self.tollgate.config().clone();
        configure(&mut config);
        Tollgate::new(config, self.tollgate.db().clone(), clock.clone(), assets()).unwrap()
    }

    /// A browser with its own cookies, which follows no redirect by itself.
    pub fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// The browser of a new user who is logged in.
    pub async fn signed_up(&self, email: &str) -> Browser {
        let browser = self.browser();
        let page = browser.post("/signup", &[("email", email), ("password", "correct horse")]).await;
        assert_eq!(page.status, 303, "sign-up failed:\n{}", page.body);
        browser
    }

    /// The browser of a new user whose trial of Pro is over and whose plan is paid.
    pub async fn paying(&self, email: &str) -> Browser {
        let browser = self.signed_up(email).await;
        self.subscribe(&browser, "PRO", PAYS).await;
        self.settled().await;
        self.sandbox.advance(Duration::from_secs(15 * 86_400));
        self.settled().await;
        browser
    }

    /// Sends the browser to Checkout for a plan and pays there. Returns Stripe's response.
    pub async fn subscribe(&self, browser: &Browser, plan: &str, card: &str) -> Page {
        let checkout = self.open_checkout(browser, plan).await;
        pay(&checkout, card).await
    }

    /// Sends the browser to Checkout for a plan, and returns Stripe's address.
    pub async fn open_checkout(&self, browser: &Browser, plan: &str) -> String {
        let page = browser.post("/api/billing/subscribe", &[("plan", plan), ("interval", "month")]).await;
        assert_eq!(page.status, 303, "no Checkout:\n{}", page.body);
        page.location()
    }

    /// Sends the browser to Checkout for a product that is bought once and pays there.
    pub async fn buy(&self, browser: &Browser, product: &str, card: &str) -> Page {
        let page = browser.post("/api/billing/checkout", &[("product", product)]).await;
        assert_eq!(page.status, 303, "no Checkout:\n{}", page.body);
        pay(&page.location(), card).await
    }

    /// A user who has signed up.
    pub async fn user(&self, email: &str) -> User {
        let login_key = Email::parse(email).unwrap().login_key();
        let user = users::by_login(self.tollgate.db(), &login_key).await.unwrap();
        user.expect("the user has signed up")
    }

    /// The account of a user who has signed up.
    pub async fn account(&self, email: &str) -> AccountId {
        self.user(email).await.account_id
    }

    /// Gives a user who has signed up a role.
    pub async fn set_role(&self, email: &str, role: Role) {
        let user = self.user(email).await.id;
        assert!(set_role(&self.tollgate, &OperatorPermit::for_cli(), &user, role).await.unwrap());
    }

    /// The browser of an operator.
    pub async fn operator(&self) -> Browser {
        let browser = self.signed_up("operator@example.com").await;
        self.set_role("operator@example.com", Role::Operator).await;
        browser
    }

    /// The extra AI generations that a user has left.
    pub async fn credits(&self, email: &str) -> i64 {
        let balances = credits::balances(self.tollgate.db(), &self.account(email).await).await.unwrap();
        let of_meter = balances.iter().find(|balance| balance.meter == "aiGenerationsPerMonth");
        of_meter.map_or(0, credits::Balance::left)
    }

    /// Waits until every event that Stripe has sent was stored and applied, by whichever node.
    pub async fn settled(&self) {
        let delivered = tokio::time::timeout(AT_MOST, self.sandbox.deliveries_settled()).await;
        delivered.expect("events are delivered in time");
        self.applied().await;
    }

    /// Waits until every event that was stored is applied.
    pub async fn applied(&self) {
        until(async || inbox::next_due(self.tollgate.db()).await.unwrap().is_none()).await;
    }

    /// Whether no worker is applying an event.
    pub async fn is_idle(&self) -> bool {
        let leases = "SELECT event_id FROM webhook_event WHERE lease_owner IS NOT NULL";
        self.database.texts(self.tollgate.db(), leases).await.is_empty()
    }

    /// Advances the clock once no worker is applying an event, which would lose its lease, and wakes the first node's.
    pub async fn wake_worker_after(&self, time: Duration) {
        self.until(async || self.is_idle().await).await;
        self.sandbox.advance(time);
        self.tollgate.wake_worker().notify_one();
    }

    /// Waits until the condition holds.
    pub async fn until(&self, holds: impl AsyncFn() -> bool) {
        until(holds).await;
    }

    /// The state of an event; `None` when it was never stored.
    pub async fn event_state(&self, event: &str) -> Option<EventState> {
        let event = inbox::by_id(self.tollgate.db(), &EventId::new(event)).await.unwrap();
        event.map(|event| event.state)
    }

    /// Parks events, as a worker does after too many attempts.
    pub async fn park(&self, events: &[&str]) {
        let (db, later) = (self.tollgate.db(), self.tollgate.now().plus_days(1));
        until(async || {
            let mut tx = db.begin().await.unwrap();
            for event in events {
                assert!(inbox::replay(&mut tx, &EventId::new(*event), later).await.unwrap());
            }
            tx.commit().await.unwrap();
            // A worker that is applying one now would reschedule it.
            self.is_idle().await
        })
        .await;
        let claimed = inbox::claim(db, "a test", later, later.plus_seconds(60), 100).await.unwrap();
        let lease = |event: &&str| claimed.iter().find(|claimed| claimed.event_id == **event).unwrap().lease("a test");
        let failed: Vec<_> = events.iter().map(|event| (lease(event), Next::Park)).collect();
        let mut tx = db.begin().await.unwrap();
        inbox::reschedule(&mut tx, &failed, "for a test").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Stops every node, and waits until all have stopped.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.nodes.close();
        tokio::time::timeout(AT_MOST, self.nodes.wait()).await.expect("the nodes stop in time");
    }

    /// Creates or changes an object in Stripe without the app, and returns its id.
    pub async fn stripe_makes(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let request = self.stripe(reqwest::Method::POST, path).form(fields);
        ok(path, request).await["id"].as_str().unwrap().to_owned()
    }

    /// Deletes an object in Stripe without the app.
    pub async fn stripe_deletes(&self, path: &str) {
        ok(path, self.stripe(reqwest::Method::DELETE, path)).await;
    }

    /// Stripe's list at this path, newest first.
    pub async fn stripe_lists(&self, path: &str) -> Vec<Value> {
        ok(path, self.stripe(reqwest::Method::GET, path)).await["data"].as_array().unwrap().clone()
    }

    /// The id of the newest object in Stripe's list at this path.
    pub async fn stripe_newest(&self, path: &str) -> String {
        self.stripe_lists(path).await[0]["id"].as_str().unwrap().to_owned()
    }

    /// The number of these API calls that Stripe has carried out.
    pub fn stripe_calls(&self, method: &str, path: &str) -> usize {
        self.sandbox.requests().iter().filter(|call| call.method == method && call.path == path).count()
    }

    fn stripe(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        Browser::new(&self.sandbox.url()).request(method, path).bearer_auth("sk_test_sandbox")
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Stripe's response, which must be a success.
async fn ok(path: &str, request: reqwest::RequestBuilder) -> Value {
    let page = Page::of(request).await;
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    page.json()
}

/// Starts a node as `tollgate serve` does.
async fn start_node(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    stop: &CancellationToken,
    nodes: &TaskTracker,
) -> Tollgate {
    let db = Db::connect(&config.database_url).await.unwrap();
    store::migrate(&db).await.unwrap();
    let tollgate = Tollgate::new(config, db, clock, assets()).unwrap();
    stripe_account::reject_other(&tollgate).await.unwrap();
    let router = http::router(&tollgate, app::pages(&tollgate).unwrap()).unwrap();
    let tasks = tollgate.spawn(stop);
    let (sessions, until) = (tollgate.clone(), stop.clone());
    tasks.supervise("sessions", stop, move || session_store::sweep(sessions.clone(), until.clone()));
    let stop = stop.clone();
    nodes.spawn(async move {
        let limits = http::ConnectionLimits { http2: true, ..http::ConnectionLimits::default() };
        http::serve(listener, router, limits, &stop, AT_MOST).await;
        tasks.wait().await;
    });
    tollgate
}
