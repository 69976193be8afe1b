//! The app as it is served, on a database of its own and a clock that stands still,
//! without a socket and without a Stripe.

#![allow(dead_code, reason = "every test program uses its own part")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use billing::email::Email;
use billing::{AccountId, CustomerId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp};
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::store::accounts::Role;
use server::store::{accounts, customers, subscriptions};
use server::{Db, Tollgate, access};
use tempfile::TempDir;
use tower::ServiceExt;

/// 23 November 2026, 14:05 UTC.
pub const NOW: Timestamp = Timestamp(1_795_442_700);

/// What is sold, as shipped.
pub const PLANS: &str = include_str!("../../../plans.toml");

/// The parts of an app, with a database in a folder of their own.
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
    db.migrate().await.unwrap();
    let manifest = br#"{"script":"tollgate-1","style":"style-1.css"}"#;
    let assets = Assets::from_files([("manifest.json".to_owned(), manifest.as_slice().into())]).unwrap();
    (Tollgate::new(config, db, Clock::manual(NOW), assets).unwrap(), folder)
}

/// A running app.
pub struct House {
    pub tollgate: Tollgate,
    pub router: Router,
    _folder: TempDir,
}

impl House {
    pub async fn new() -> Self {
        Self::with_plans(PLANS).await
    }

    /// The same, with another `plans.toml`.
    pub async fn with_plans(plans: &str) -> Self {
        let (tollgate, folder) = tollgate_with_plans(plans).await;
        let router = server::http::router(&tollgate, app::pages(&tollgate).unwrap()).unwrap();
        Self { tollgate, router, _folder: folder }
    }

    /// An operator, signed in.
    pub async fn operator(&self, email: &str) -> Guest<'_> {
        let guest = self.signed_up(email).await;
        let email = Email::parse(email).unwrap();
        assert!(access::set_role(&self.tollgate, &email, Role::Operator).await.unwrap());
        guest
    }

    /// Somebody with an account on the free plan, signed in.
    pub async fn signed_up(&self, email: &str) -> Guest<'_> {
        let mut guest = self.stranger();
        let answer = guest.post("/signup", &format!("email={email}&password=correct-horse")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.html);
        guest
    }

    /// Somebody signed in, with this subscription.
    pub async fn subscribed(&self, email: &str, subscription: Subscription) -> Guest<'_> {
        let guest = self.signed_up(email).await;
        self.subscribe(email, &subscription).await;
        guest
    }

    /// Writes a subscription as if Stripe had told of it.
    pub async fn subscribe(&self, email: &str, subscription: &Subscription) {
        let db = self.tollgate.db();
        let user = accounts::user_by_login(db, email).await.unwrap().unwrap();
        let account: AccountId = user.account_id;
        let mut tx = db.begin().await.unwrap();
        customers::link(&mut tx, &subscription.customer, &account, false, NOW).await.unwrap();
        assert!(subscriptions::write(&mut tx, &account, subscription, None, "a test", NOW).await.unwrap());
        tx.commit().await.unwrap();
        self.tollgate.access().forget(&account).await;
    }

    /// Counts calls of the API as somebody's.
    pub async fn use_calls(&self, email: &str, quantity: u64) {
        let user = accounts::user_by_login(self.tollgate.db(), email).await.unwrap().unwrap();
        let key = format!("{email} {quantity}");
        let recorded = self.tollgate.record_usage(&user.account_id, API_CALLS, quantity, &key).await;
        assert!(matches!(recorded, Ok(server::usage::Recorded::Counted(_))), "{recorded:?}");
    }

    pub fn stranger(&self) -> Guest<'_> {
        Guest { house: self, cookies: Vec::new() }
    }
}

/// A subscription of `lookup_key`, a week into its month.
pub fn subscription(lookup_key: &str, status: Status) -> Subscription {
    let period = Period { start: NOW.plus_days(-7), end: NOW.plus_days(23) };
    Subscription {
        id: SubscriptionId::new(format!("sub_{lookup_key}")),
        customer: CustomerId::new(format!("cus_{lookup_key}")),
        status,
        items: vec![Item {
            id: "si_1".to_owned(),
            price: PriceId::new(format!("price_{lookup_key}")),
            lookup_key: Some(lookup_key.to_owned()),
            quantity: 1,
            period,
        }],
        created: period.start,
        billing_cycle_anchor: period.start,
        cancel_at_period_end: false,
        cancel_at: None,
        ended_at: None,
        trial_end: None,
        past_due_since: None,
        pause: None,
        last_known_tier: None,
    }
}

/// A browser: it keeps cookies and follows nothing.
pub struct Guest<'a> {
    house: &'a House,
    cookies: Vec<(String, String)>,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    pub csp: String,
    pub html: String,
}

impl Guest<'_> {
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(request.unwrap()).await
    }

    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let response = self.house.router.clone().oneshot(request).await.unwrap();
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
        Answer { status, location, csp, html: String::from_utf8(body.to_vec()).unwrap() }
    }
}
