//! A host with its own pages, which identifies visitors by a header.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::routing::{any, get};
use billing::{Catalog, CustomerId, Feature, Policy};
use engine::axum::{Gate, Identify, PolicyTable, Route};
use engine::clock::Clock;
use engine::store::{customers, subscriptions};
use engine::{Billable, Engine, StripeSettings, Urls};
use tower::ServiceExt;

use crate::databases::TestDatabase;
use crate::samples::{NOW, pro};

/// A feature that only paid plans include.
pub const REPORTS: Feature = Feature::new("reports");
/// Signs webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_host";

/// The policy of each page.
pub const ROUTES: [Route; 5] = [
    Route { path: "/", policy: Policy::Public },
    Route { path: "/pricing", policy: Policy::Public },
    Route { path: "/settings", policy: Policy::SignedIn },
    Route { path: "/reports", policy: Policy::Feature(REPORTS) },
    Route { path: "/admin", policy: Policy::Operator },
];

/// A visitor who is not signed in.
pub const ANONYMOUS: Option<&str> = None;
/// A visitor on the free plan.
pub const FREE: Option<&str> = Some("free");
/// A visitor on the plan that includes reports: see [`App::subscribe`].
pub const PAID: Option<&str> = Some("paid");
/// An operator, on the free plan.
pub const OPERATOR: Option<&str> = Some("operator");

/// Identifies a visitor by the `x-user` header.
#[derive(Clone, Copy, Debug)]
pub struct ByHeader;

impl Identify for ByHeader {
    type Error = (StatusCode, &'static str);

    async fn identify(&self, parts: &mut Parts) -> Result<Option<Billable>, Self::Error> {
        let Some(user) = parts.headers.get("x-user") else { return Ok(None) };
        let user = user.to_str().map_err(|_| (StatusCode::BAD_GATEWAY, "Sessions are unavailable"))?;
        let is_operator = Some(user) == OPERATOR;
        Ok(Some(Billable { is_operator, ..Billable::new(user, format!("{user}@example.com")) }))
    }
}

/// The pages, each of which responds with its name.
pub fn pages() -> Router {
    Router::new()
        .route("/", get("home"))
        .route("/pricing", any("pricing"))
        .route("/settings", any("settings"))
        .route("/reports", any("reports"))
        .route("/reports/{*report}", any("a report"))
        .route("/admin", any("admin"))
        .route("/undeclared", any("undeclared"))
}

/// The engine and its clock.
pub struct App {
    pub engine: Engine,
    pub clock: Clock,
}

impl App {
    pub fn on(database: &TestDatabase) -> Self {
        let clock = Clock::manual(NOW);
        let catalog = Catalog::parse(include_str!("../support/plans.toml"), &|_| None).expect("the catalog is valid");
        let engine = Engine::builder()
            .catalog(catalog)
            .stripe(StripeSettings::new("sk_test_1", WEBHOOK_SECRET))
            .urls(Urls::at(&"https://app.example.com".parse().expect("the address is valid")))
            .clock(clock.clone())
            .build_on(database.db.clone())
            .expect("the engine has all it needs");
        Self { engine, clock }
    }

    /// Puts the visitor [`PAID`] on the plan that includes reports.
    pub async fn subscribe(&self) {
        let billable = Billable::new("paid", "paid@example.com");
        self.engine.ensure_account(&billable).await.unwrap();
        let customer = CustomerId::new("cus_paid");
        let mut tx = self.engine.db().begin().await.unwrap();
        assert!(customers::link(&mut tx, &customer, &billable.account, false, NOW).await.unwrap());
        let subscription = pro("sub_1", &customer);
        assert!(subscriptions::write(&mut tx, &billable.account, &subscription, None, "evt_1", NOW).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// Builds a table of these routes.
    pub fn policies(&self, routes: &[Route]) -> PolicyTable {
        PolicyTable::new(routes.to_vec(), self.engine.catalog()).expect("the routes are valid")
    }

    /// A gate with these policies.
    pub fn gate(&self, policies: PolicyTable) -> Gate<ByHeader> {
        Gate::new(&self.engine, ByHeader, policies)
    }

    /// All pages behind a gate that declares them.
    pub fn guarded(&self) -> Router {
        self.gate(self.policies(&ROUTES)).guard(pages())
    }
}

/// A response.
#[derive(Debug)]
pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl TestResponse {
    /// The target of a redirect; empty without one.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |location| location.to_str().unwrap())
    }

    /// The status and the redirect's target.
    pub fn redirect(&self) -> (u16, &str) {
        (self.status.as_u16(), self.location())
    }

    /// The status and the page.
    pub fn page(&self) -> (u16, &str) {
        (self.status.as_u16(), &self.body)
    }
}

/// Requests a path as `user`, spelled exactly like this.
pub async fn request(router: &Router, method: Method, path: &str, user: Option<&str>) -> TestResponse {
    request_with(router, method, path, user, &[]).await
}

/// Does the same with additional headers.
pub async fn request_with(
    router: &Router,
    method: Method,
    path: &str,
    user: Option<&str>,
    headers: &[(&str, &str)],
) -> TestResponse {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers.iter().copied().chain(user.map(|user| ("x-user", user))) {
        request = request.header(name, value);
    }
    send(router, request.body(Body::empty()).expect("the path is one that HTTP can carry")).await
}

/// Sends a request.
pub async fn send(router: &Router, request: Request) -> TestResponse {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    TestResponse { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}
