//! The app with billing added: who may open the gated page, on both databases, alongside the app's own
//! tables.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::billing::AccountId;
use embed::billing;
use embed::host::{self, Users};
use engine::store::Cursor;
use engine::store::billing_changes::{self, ChangeFilter, ChangeState};
use engine::store::inbox::{self, EventState};
use engine::{DatabaseUrl, Engine, Urls, catalog};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, header};
use sandbox::Sandbox;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The app, running on its own database.
struct App {
    url: Url,
    sandbox: Sandbox,
    engine: Engine,
    users: Users,
    stop: CancellationToken,
    _files: TempDir,
}

impl App {
    async fn on_sqlite() -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str| format!("sqlite:{}", files.path().join(name).display());
        let database = DatabaseUrl::parse(&file("billing.db")).unwrap();
        Self::start(&format!("{}?mode=rwc", file("host.db")), database, files).await
    }

    /// Host and engine share one database; the engine has its own schema.
    async fn on_postgres() -> Self {
        let url = postgres_database().await;
        let database = DatabaseUrl::parse(&url).unwrap().in_schema("billing").unwrap();
        Self::start(&url, database, tempfile::tempdir().unwrap()).await
    }

    async fn start(host: &str, database: DatabaseUrl, files: TempDir) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let urls = Urls { upgrade: url.join("/pricing").unwrap(), ..Urls::at(&url) };
        let (sandbox, stripe) = billing::sandbox(SocketAddr::from(([127, 0, 0, 1], 0)), &urls).await.unwrap();
        let users = Users::connect(host).await.unwrap();
        let engine = billing::engine(database, stripe, urls).await.unwrap();
        catalog::apply_all(engine.gateway(), engine.catalog()).await.unwrap();
        let stop = CancellationToken::new();
        engine.spawn(&stop);
        let app = billing::add(host::router(users.clone()), &engine, users.clone()).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, sandbox, engine, users, stop, _files: files }
    }

    /// Waits until every event that Stripe has sent is stored, and none of them is pending.
    async fn settled(&self) {
        let settled = async {
            self.sandbox.deliveries_settled().await;
            let mut poll = tokio::time::interval(Duration::from_millis(10));
            while inbox::next_due(self.engine.db()).await.unwrap().is_some() {
                poll.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), settled).await.expect("events are applied");
    }

    /// Waits until `on_change` has accepted every change of an account, and returns the status that
    /// each of them led to, the oldest first.
    async fn delivered_changes(&self, account: &str) -> Vec<String> {
        let filter = ChangeFilter { account: Some(AccountId::new(account)), ..ChangeFilter::default() };
        let delivered = async {
            let mut poll = tokio::time::interval(Duration::from_millis(10));
            loop {
                poll.tick().await;
                let mut changes =
                    billing_changes::list(self.engine.db(), &filter, &Cursor::start(), 100).await.unwrap();
                if changes.iter().all(|change| change.state == ChangeState::Delivered) {
                    changes.sort_by_key(|change| change.number);
                    return changes.iter().map(|change| change.after.status.as_str().to_owned()).collect();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), delivered).await.expect("changes are delivered")
    }

    /// How many events wait for an account that does not exist.
    async fn unmatched(&self) -> i64 {
        let counts = inbox::count_by_state(self.engine.db()).await.unwrap();
        counts.iter().find(|count| count.state == EventState::Unmatched).map_or(0, |count| count.events)
    }

    /// Calls Stripe's API.
    async fn stripe(&self, method: reqwest::Method, path: &str, form: &[(&str, &str)]) -> serde_json::Value {
        let request = Client::new().request(method, format!("{}{path}", self.sandbox.url()));
        let response = request.bearer_auth("sk_test_sandbox").form(form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    async fn browser(&self, email: &str) -> Browser {
        let client = Client::builder().cookie_store(true).redirect(Policy::none()).build().unwrap();
        let browser = Browser { client, url: self.url.clone() };
        let response = browser.post("/login", &[("email", email)]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        browser
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Browser {
    client: Client,
    url: Url,
}

impl Browser {
    async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(self.url.join(path).unwrap()).header(header::ACCEPT, "text/html");
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let request = self.client.post(self.url.join(path).unwrap()).header(header::ACCEPT, "text/html");
        request.form(form).send().await.unwrap()
    }
}

fn location(response: &reqwest::Response) -> &str {
    response.headers()[header::LOCATION].to_str().unwrap()
}

async fn postgres_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "`make test` says where PostgreSQL is")]
    let server = std::env::var("TOLLGATE_TEST_POSTGRES").expect("`make test` starts a PostgreSQL and sets it");
    let name = format!("embed_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let (before, _) = server.rsplit_once('/').unwrap();
    format!("{before}/{name}")
}

/// The names of all tables where the host keeps its own, and everything in these, its list of
/// migrations among them.
async fn host_tables(users: &Users) -> Vec<String> {
    let is_postgres = users.0.acquire().await.unwrap().backend_name() == "PostgreSQL";
    let names = if is_postgres {
        "SELECT table_name || '' FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    } else {
        "SELECT name || '' FROM sqlite_master WHERE type = 'table' ORDER BY 1"
    };
    let names: Vec<(String,)> = sqlx::query_as(names).fetch_all(&users.0).await.unwrap();
    let mut all: Vec<String> = names.into_iter().map(|(name,)| name).collect();
    assert_eq!(all, ["_sqlx_migrations", "account", "invoice", "users"]);
    for sql in [
        "SELECT id || ' ' || email FROM users ORDER BY id",
        "SELECT code || ' ' || balance FROM account ORDER BY code",
        "SELECT number || ' ' || text FROM invoice ORDER BY number",
        "SELECT version || ' ' || description FROM _sqlx_migrations ORDER BY version",
    ] {
        let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(&users.0).await.unwrap();
        all.extend(rows.into_iter().map(|(row,)| row));
    }
    all
}

async fn paying_opens_the_page_and_canceling_closes_it(app: App) {
    let host_before = host_tables(&app.users).await;
    assert_eq!(host_before.last().map(String::as_str), Some("1 host"));

    let anonymous = Client::builder().redirect(Policy::none()).build().unwrap();
    let response = anonymous.get(app.url.join("/reports").unwrap()).send().await.unwrap();
    assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/login?next=/reports"));

    let ada = app.browser("ada@example.com").await;
    let response = ada.get("/reports").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&response), "/pricing?feature=reports&next=/reports");
    assert!(ada.get(location(&response)).await.text().await.unwrap().contains("Buy Team"));

    let checkout = ada.post("/subscribe/TEAM", &[]).await;
    let card = [("email", ""), ("name", "Ada"), ("number", "4242424242424242"), ("expiry", "12/40"), ("cvc", "123")];
    let paid = anonymous.post(location(&checkout)).form(&card).send().await.unwrap();
    assert_eq!(paid.status(), StatusCode::SEE_OTHER);
    let response = ada.get(location(&paid)).await;
    assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/reports"));
    let response = ada.get("/reports").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "<h1>Reports of account 1</h1>");

    let subscriptions = app.stripe(reqwest::Method::GET, "/v1/subscriptions", &[]).await;
    let subscription = subscriptions["data"][0]["id"].as_str().unwrap();
    app.stripe(reqwest::Method::DELETE, &format!("/v1/subscriptions/{subscription}"), &[]).await;
    app.settled().await;
    assert_eq!(ada.get("/reports").await.status(), StatusCode::SEE_OTHER);

    let delivered = app.delivered_changes("1").await;
    assert_eq!(delivered.first().map(String::as_str), Some("active"));
    assert_eq!(delivered.last().map(String::as_str), Some("canceled"));
    assert_eq!(host_tables(&app.users).await, host_before);
}

async fn a_meter_allows_what_the_plan_includes(app: App) {
    let ada = app.browser("ada@example.com").await;
    for _ in 0..3 {
        assert_eq!(ada.post("/exports", &[]).await.status(), StatusCode::OK);
    }
    assert_eq!(ada.post("/exports", &[]).await.status(), StatusCode::PAYMENT_REQUIRED);
    // Limits are per account.
    let bob = app.browser("bob@example.com").await;
    assert_eq!(bob.post("/exports", &[]).await.status(), StatusCode::OK);
}

async fn an_event_about_a_user_without_an_account_is_kept(app: App) {
    // Bob has never used anything that needs billing, so the engine does not know him. Support has sold him a
    // plan in the Dashboard.
    let named = ("metadata[account_id]", "2");
    let customer = app.stripe(reqwest::Method::POST, "/v1/customers", &[named]).await;
    let customer = customer["id"].as_str().unwrap().to_owned();
    let card = [("type", "card"), ("card[token]", "tok_visa")];
    let card = app.stripe(reqwest::Method::POST, "/v1/payment_methods", &card).await;
    let attach = format!("/v1/payment_methods/{}/attach", card["id"].as_str().unwrap());
    app.stripe(reqwest::Method::POST, &attach, &[("customer", &customer)]).await;
    let prices = app.stripe(reqwest::Method::GET, "/v1/prices?lookup_keys[]=embed_team_month", &[]).await;
    let subscription = [
        ("customer", customer.as_str()),
        ("items[0][price]", prices["data"][0]["id"].as_str().unwrap()),
        ("default_payment_method", card["id"].as_str().unwrap()),
        named,
    ];
    app.stripe(reqwest::Method::POST, "/v1/subscriptions", &subscription).await;
    app.settled().await;
    assert_ne!(app.unmatched().await, 0);

    let bob = app.browser("bob@example.com").await;
    // His first request creates the account, and makes the events due that waited for it.
    bob.get("/reports").await;
    app.settled().await;
    assert_eq!(app.unmatched().await, 0);
    assert_eq!(bob.get("/reports").await.status(), StatusCode::OK);
    assert_ne!(app.browser("ada@example.com").await.get("/reports").await.status(), StatusCode::OK);
}

macro_rules! on_both_databases {
    ($($test:ident),*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::App::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::App::on_postgres().await).await; })*
        }
    };
}

on_both_databases!(
    paying_opens_the_page_and_canceling_closes_it,
    a_meter_allows_what_the_plan_includes,
    an_event_about_a_user_without_an_account_is_kept
);

#[test]
fn billing_is_added_in_80_lines() {
    let added = include_str!("../src/billing.rs");
    let start =
        include_str!("../src/main.rs").split("    let users = ").nth(1).unwrap().split("println!").next().unwrap();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = added.lines().filter(is_code).count() + start.lines().skip(1).filter(is_code).count();
    assert!(lines <= 80, "it takes {lines} lines");
}
