//! The app as it is served, with its own database and a stopped clock, but without a socket or
//! Stripe.

#![allow(dead_code, reason = "each test program uses only part of it")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use billing::{AccountId, CustomerId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp};
use engine::Db;
use engine::clock::Clock;
use engine::metering::{self, Recorded, UsageEvent};
use engine::store::{customers, subscriptions};
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::roles::set_role;
use server::assets::Assets;
use server::config::Config;
use server::product::API_CALLS;
use server::store::users::{self, Role, User};
use tempfile::TempDir;
use tower::ServiceExt;

/// 23 November 2026, 14:05 UTC.
pub const NOW: Timestamp = Timestamp(1_795_442_700);

/// The shipped `plans.toml`.
pub const PLANS: &str = include_str!("../../../plans.toml");

/// An app that serves nothing yet, and the folder of its database.
pub async fn tollgate() -> (Tollgate, TempDir) {
    tollgate_with_plans(PLANS).await
}

async fn tollgate_with_plans(plans: &str) -> (Tollgate, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.toml");
    std::fs::write(&file, plans).unwrap();
    let value = |name: &str| match name {
        "DATABASE_URL" => Some(format!("sqlite:{}/test.db", folder.path().display())),
        "TOLLGATE_PLANS" => Some(file.display().to_string()),
        _ => None,
    };
    let config = Config::from_lookup(&value).unwrap();
    let db = Db::connect(&config.database_url).await.unwrap();
    server::store::migrate(&db).await.unwrap();
    let manifest = br#"{"script":"tollgate-1","style":"style-1.css"}"#;
    let assets = Assets::from_files([("manifest.json".to_owned(), manifest.as_slice().into())]).unwrap();
    (Tollgate::new(config, db, Clock::manual(NOW), assets).unwrap(), folder)
}

/// A running app.
pub struct App {
    pub tollgate: Tollgate,
    pub router: Router,
    _folder: TempDir,
}

impl App {
    pub async fn new() -> Self {
        Self::with_plans(PLANS).await
    }

    /// An app with another `plans.toml`.
    pub async fn with_plans(plans: &str) -> Self {
        let (tollgate, folder) = tollgate_with_plans(plans).await;
        let router = server::http::router(&tollgate, app::pages(&tollgate).unwrap()).unwrap();
        Self { tollgate, router, _folder: folder }
    }

    /// Returns a browser without a session.
    pub fn browser(&self) -> Browser<'_> {
        Browser { app: self, cookies: Vec::new() }
    }

    /// Signs up a new user, who is on the free plan.
    pub async fn signed_up(&self, email: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let response = browser.post("/signup", &format!("email={email}&password=correct-horse")).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", response.html);
        browser
    }

    /// Signs up a new operator.
    pub async fn operator(&self, email: &str) -> Browser<'_> {
        let browser = self.signed_up(email).await;
        let user = self.user(email).await.id;
        assert!(set_role(&self.tollgate, &OperatorPermit::for_cli(), &user, Role::Operator).await.unwrap());
        browser
    }

    /// Signs up a new user with a subscription.
    pub async fn subscribed(&self, email: &str, subscription: Subscription) -> Browser<'_> {
        let browser = self.signed_up(email).await;
        self.subscribe(email, &subscription).await;
        browser
    }

    /// Writes a subscription as if it had been fetched from Stripe.
    pub async fn subscribe(&self, email: &str, subscription: &Subscription) {
        let account = self.account(email).await;
        let mut tx = self.tollgate.db().begin().await.unwrap();
        customers::link(&mut tx, &subscription.customer, &account, false, NOW).await.unwrap();
        assert!(subscriptions::write(&mut tx, &account, subscription, None, "a test", NOW).await.unwrap());
        self.tollgate.cache().commit(tx, vec![account]).await.unwrap();
    }

    /// Records API calls.
    pub async fn record_calls(&self, email: &str, quantity: u64) {
        let (account, key) = (self.account(email).await, format!("{email} {quantity}"));
        let recorded = metering::record(&self.tollgate, &account, UsageEvent::new(API_CALLS, quantity, &key)).await;
        assert!(matches!(recorded, Ok(Recorded::Counted(_))), "{recorded:?}");
    }

    async fn account(&self, email: &str) -> AccountId {
        self.user(email).await.account_id
    }

    async fn user(&self, email: &str) -> User {
        users::by_login(self.tollgate.db(), email).await.unwrap().expect("the user has signed up")
    }
}

/// Returns a subscription of `lookup_key`, a week into its month.
pub fn subscription(lookup_key: &str, status: Status) -> Subscription {
    let item = Item {
        id: "si_1".to_owned(),
        price: PriceId::new(format!("price_{lookup_key}")),
        lookup_key: Some(lookup_key.to_owned()),
        quantity: 1,
        period: Period { start: NOW.plus_days(-7), end: NOW.plus_days(23) },
    };
    let (id, customer) = (format!("sub_{lookup_key}"), format!("cus_{lookup_key}"));
    Subscription { status, ..Subscription::active(SubscriptionId::new(id), CustomerId::new(customer), vec![item]) }
}

/// A browser that keeps cookies and follows no redirect.
pub struct Browser<'a> {
    app: &'a App,
    cookies: Vec<(String, String)>,
}

pub struct Response {
    pub status: StatusCode,
    pub location: Option<String>,
    pub csp: String,
    pub html: String,
}

impl Browser<'_> {
    pub async fn get(&mut self, path: &str) -> Response {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> Response {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(request.unwrap()).await
    }

    pub async fn send(&mut self, mut request: Request<Body>) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let response = self.app.router.clone().oneshot(request).await.unwrap();
        for line in response.headers().get_all(header::SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(kept, _)| kept != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, csp) = (text("location"), text("content-security-policy").unwrap_or_default());
        let status = response.status();
        let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
        // Leptos separates text nodes by empty comments.
        let html = String::from_utf8(body.to_vec()).unwrap().replace("<!>", "");
        Response { status, location, csp, html }
    }
}
