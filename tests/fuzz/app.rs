//! The app that is fuzzed: its router, called in this process, and a visitor of each kind.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use billing::AccountId;
use engine::settings::DatabaseUrl;
use serde_json::Value;
use server::http;
use tower::ServiceExt;

use crate::support::{Browser, Database, DatabaseKind, Harness, PAYS};

/// Longer than any request may take.
const AT_MOST: Duration = Duration::from_secs(90);

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub enum Visitor {
    Anonymous,
    /// On the free plan.
    Customer,
    /// An operator with the highest plan.
    Operator,
    /// The operator's API key.
    Key,
}

/// A running app.
pub struct App {
    harness: Harness,
    router: Router,
    /// The address of every page and action.
    pub addresses: Vec<&'static str>,
    /// The cookies of the customer.
    pub cookie: String,
    operator_cookie: String,
    /// The operator's account.
    pub account: AccountId,
    /// The operator's API key.
    pub key: String,
    /// A stored event.
    pub event: String,
    /// Without fsync on commit: durability does not matter here, and fsync would take most of the time.
    _database: Database,
}

impl App {
    /// Starts an app with its sandbox, in which the operator has bought a plan.
    pub async fn start(kind: DatabaseKind) -> Self {
        let database = kind.fresh_database().await;
        let url = DatabaseUrl::parse(&database.url).unwrap();
        let harness = Harness::start_configured(
            kind,
            |_| {},
            |config| {
                config.database_url = url;
                config.stripe_calls_per_minute = None;
            },
        )
        .await;
        let customer = harness.signed_up("ada@example.com").await;
        let operator = harness.operator().await;
        harness.subscribe(&operator, "ENTERPRISE", PAYS).await;
        harness.settled().await;
        let key = operator.new_api_key("=build server").await;
        let cookie = |browser: &Browser| browser.cookie(&harness.url).unwrap();
        let pages = app::pages(&harness.tollgate).unwrap();
        Self {
            addresses: pages.routes.iter().map(|route| route.path).collect(),
            router: http::router(&harness.tollgate, pages).unwrap(),
            cookie: cookie(&customer),
            operator_cookie: cookie(&operator),
            account: harness.account("operator@example.com").await,
            event: harness.stripe_newest("/v1/events").await,
            key,
            harness,
            _database: database,
        }
    }

    /// Every event that Stripe has sent, oldest first.
    pub async fn events(&self) -> Vec<Value> {
        let mut events = self.harness.stripe_lists("/v1/events?limit=100").await;
        events.reverse();
        events
    }

    /// The host that requests name.
    pub fn host(&self) -> String {
        self.harness.url.trim_start_matches("http://").to_owned()
    }

    /// The header by which a visitor is known.
    pub fn credentials(&self, visitor: Visitor) -> Option<(&'static str, String)> {
        match visitor {
            Visitor::Anonymous => None,
            Visitor::Customer => Some(("cookie", self.cookie.clone())),
            Visitor::Operator => Some(("cookie", self.operator_cookie.clone())),
            Visitor::Key => Some(("authorization", format!("Bearer {}", self.key))),
        }
    }

    /// Sends a request, as from a proxy on this machine. Returns the response's status and body.
    pub async fn send(&self, mut request: Request<Body>) -> Result<(u16, String), String> {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000))));
        let router = self.router.clone();
        // On a thread of the app, where its panics are counted.
        let exchange = tokio::spawn(async move {
            let Ok(response) = router.oneshot(request).await;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        });
        match tokio::time::timeout(AT_MOST, exchange).await {
            Ok(exchange) => exchange.map_err(|error| error.to_string())?,
            Err(_) => Err(format!("no response within {AT_MOST:?}")),
        }
    }

    /// Checks that it still serves: it is ready, and the operator's pages open.
    pub async fn serves(&self) -> Result<(), String> {
        for path in ["/readyz", "/dashboard", "/billing", "/admin", "/admin/events", "/dashboard/analytics"] {
            let request = Request::get(path).header("cookie", &self.operator_cookie).body(Body::empty()).unwrap();
            match self.send(request).await? {
                (200, _) => {}
                (status, body) => return Err(format!("{path} is {status}:\n{body}")),
            }
        }
        Ok(())
    }
}
