//! The binary: configuration errors, logs and shutdown.

use std::process::Output;

use reqwest::Method;
use server::config::{SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET};

use crate::support::{
    Browser, DatabaseKind, PAYS, Page, Program, event, on_both_databases, pay, signed, tollgate, until,
};

fn run(files: &tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let Output { status, stdout, stderr } = tollgate(files, variables).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap_or(-1), text)
}

#[test]
fn production_without_keys_does_not_start_and_reports_every_error() {
    let files = tempfile::tempdir().unwrap();
    let (code, text) = run(&files, &[], &[("APP_ENV", "production"), ("BIND_ADDR", "nonsense")]);
    assert_eq!(code, 2, "{text}");
    for name in ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "APP_URL", "BIND_ADDR"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!files.path().join("data").exists(), "nothing was created");
}

#[test]
fn an_error_in_the_configuration_shows_no_secret() {
    let files = tempfile::tempdir().unwrap();
    let variables = [
        ("APP_ENV", "production"),
        ("STRIPE_SECRET_KEY", "oops_very_secret"),
        ("STRIPE_WEBHOOK_SECRET", "also_very_secret"),
        ("DATABASE_URL", "mysql://user:very_secret@host/db"),
    ];
    let (code, text) = run(&files, &["serve"], &variables);
    assert_eq!(code, 2);
    assert!(!text.contains("very_secret"), "{text}");
}

#[test]
fn invalid_usage_exits_with_2_and_a_missing_database_with_1() {
    let files = tempfile::tempdir().unwrap();
    assert_eq!(run(&files, &["dance"], &[]).0, 2);
    let nowhere = [("DATABASE_URL", "postgres://tollgate:hunter2@127.0.0.1:1/none")];
    let (code, text) = run(&files, &["migrate"], &nowhere);
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn migrate_creates_the_database_and_can_run_again() {
    let files = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (code, text) = run(&files, &["migrate"], &[]);
        assert_eq!(code, 0, "{text}");
    }
    assert!(files.path().join("data/tollgate.db").exists());
}

const PASSWORD: &str = "correct horse battery";
const WRONG_PASSWORD: &str = "wrong horse staple";
/// Stands for everything that is sent in a body or a query.
const CONTENT: &str = "strictly-private";

on_both_databases! {
    async fn serve_logs_its_address_but_no_secret_and_stops_on_sigterm(kind) {
        let database = kind.fresh_database().await;
        let at = with_password(kind, &database.url);
        let mut server = Program::start(&database, &[("DATABASE_URL", &at), ("RUST_LOG", "trace")]).await;
        let mut secrets = use_everything(&server.url).await;
        let log = server.stop().await;
        assert!(log.contains(&format!("serving {}/", server.url)), "its address: {log}");
        for line in ["TRACE", "signed up", "logged in", "webhook rejected", "evt_signed received", "path=\"/api/v1/generate\""] {
            assert!(log.contains(line), "the log is complete: {line}");
        }
        secrets.extend(
            [SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET, "tollgate-demo", "argon2", PASSWORD, WRONG_PASSWORD, CONTENT]
                .map(|secret| ("a constant", secret.to_owned())),
        );
        secrets.push(("an address", "ada@example.com".to_owned()));
        secrets.push(("the database's password", DATABASE_PASSWORD.to_owned()));
        for (what, secret) in secrets {
            let line = log.lines().find(|line| line.contains(&secret) || line.contains(&in_a_form(&secret)));
            assert!(line.is_none(), "the log shows {what}, {secret}: {}", line.unwrap_or_default());
        }
    }
}

/// Behind a proxy that replaces the Host header, every redirect to `APP_URL` comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_that_loops_is_logged_once_with_its_cause() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mut server = Program::start(&database, &[]).await;
    let warning = "the proxy must pass on the Host header";
    let follow = async |browser: &Browser| {
        let page = Page::of(browser.request(Method::GET, "/pricing").header("host", "backend:3000")).await;
        assert_eq!(page.location(), format!("{}/pricing", server.url));
    };
    // Visitors of an old domain, who are redirected once.
    for _ in 0..2 {
        follow(&Browser::new(&server.url)).await;
    }
    assert!(!server.log().contains(warning), "{}", server.log());
    let behind_proxy = Browser::new(&server.url);
    for _ in 0..4 {
        follow(&behind_proxy).await;
    }
    let log = server.stop().await;
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(warning)).collect();
    assert!(matches!(warnings[..], [line] if line.contains("WARN") && line.contains("backend:3000")), "{log}");
}

/// Signs up, logs in, pays, delivers a webhook and calls the API, each once with an error. Returns the
/// strings that must not be logged.
async fn use_everything(url: &str) -> Vec<(&'static str, String)> {
    let browser = Browser::new(url);
    let credentials = |password| [("email", "ada@example.com"), ("password", password)];
    assert_eq!(browser.post("/signup", &credentials(PASSWORD)).await.status, 303);
    let other = Browser::new(url);
    assert_eq!(other.post("/login", &credentials(WRONG_PASSWORD)).await.status, 401);
    assert_eq!(other.post("/login", &credentials(PASSWORD)).await.status, 303);
    assert_eq!(other.get(&format!("/pricing?q={CONTENT}")).await.status, 200);
    let not_a_form = other.request(Method::POST, "/login").header("sec-fetch-site", "same-origin");
    assert!(Page::of(not_a_form.json(&[PASSWORD, CONTENT])).await.status >= 400);

    let checkout = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await.location();
    assert_eq!(pay(&checkout, PAYS).await.status, 303);
    until(async || browser.opens("/dashboard/analytics").await).await;
    let key = browser.new_api_key(CONTENT).await;
    let calls = Browser::new(url);
    let call = |key: &str| calls.request(Method::POST, "/api/v1/generate").bearer_auth(key);
    assert_eq!(Page::of(call(&key).json(&serde_json::json!({ "prompt": CONTENT }))).await.status, 200);
    assert_eq!(Page::of(call(&format!("tg_{CONTENT}")).body("{}")).await.status, 401);
    let broken = call(&key).header("content-type", "application/json").body(format!("{{\"prompt\": \"{CONTENT}"));
    assert_eq!(Page::of(broken).await.status, 400);

    let body = event("evt_signed", "customer.updated", &serde_json::json!({ "id": "cus_1", "name": CONTENT }));
    let signature = signed(&body, &[SANDBOX_WEBHOOK_SECRET], 0);
    let forged = signed(&body, &["whsec_forged"], 0);
    for (signature, status) in [(&signature, 200), (&forged, 400)] {
        let delivery = calls.request(Method::POST, "/api/stripe/webhook").header("stripe-signature", signature);
        assert_eq!(Page::of(delivery.body(body.clone())).await.status, status);
    }
    let mut secrets = vec![("an API key", key[3..].to_owned())];
    for header in [signature, forged] {
        secrets.push(("a signature", header.rsplit_once('=').unwrap().1.to_owned()));
    }
    for browser in [browser, other] {
        let cookies = browser.cookie(url).expect("a session");
        for (what, name) in [("a session", "tollgate="), ("a device", "tollgate-device=")] {
            let value = cookies.split("; ").find_map(|cookie| cookie.strip_prefix(name)).expect("the cookie is set");
            secrets.push((what, value.to_owned()));
        }
    }
    secrets
}

/// The text, encoded as in a form or a query.
fn in_a_form(text: &str) -> String {
    text.replace(' ', "+").replace('@', "%40")
}

/// PostgreSQL accepts any password if it trusts this machine.
const DATABASE_PASSWORD: &str = "hunter2";

/// The database's address with a password.
fn with_password(kind: DatabaseKind, url: &str) -> String {
    if matches!(kind, DatabaseKind::Sqlite) {
        return url.to_owned();
    }
    let mut url = reqwest::Url::parse(url).unwrap();
    if url.password().is_none() {
        url.set_password(Some(DATABASE_PASSWORD)).unwrap();
    }
    url.to_string()
}
