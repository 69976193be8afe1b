//! Commands that run alongside a server on SQLite: when one has ended, the server no longer grants what it revoked.

use std::process::Output;

use billing::email::Email;
use reqwest::Method;
use server::{auth, demo};

use crate::support::{Browser, Database, DatabaseKind, Harness, PAYS, Page, Program, tollgate};

/// Runs a command to its end.
async fn run(database: &Database, variables: &[(&str, &str)], arguments: &[&str]) {
    let mut command = tollgate(&database.files, variables);
    command.env("DATABASE_URL", &database.url).args(arguments);
    let Output { status, stderr, .. } = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_counts_as_soon_as_the_command_that_gave_or_removed_it_has_ended() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let program = Program::start(&database, &[]).await;
    let ada = Browser::new(&program.url);
    let fields = [("email", "ada@example.com"), ("password", "correct horse")];
    assert_eq!(ada.post("/signup", &fields).await.status, 303);
    assert!(!ada.opens("/admin").await);
    for _ in 0..3 {
        run(&database, &[], &["operator", "add", "ada@example.com", "--yes"]).await;
        assert!(ada.opens("/admin").await);
        run(&database, &[], &["operator", "remove", "ada@example.com"]).await;
        assert!(!ada.opens("/admin").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_and_keys_of_a_removed_account_end_with_the_command() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let address = Email::parse(demo::CUSTOMER).unwrap();
    auth::create_user(&app.tollgate, &address, demo::PASSWORD.to_owned()).await.unwrap();
    let demo = app.browser();
    let fields = [("email", demo::CUSTOMER), ("password", demo::PASSWORD)];
    assert_eq!(demo.post("/login", &fields).await.status, 303);
    app.subscribe(&demo, "PRO", PAYS).await;
    app.settled().await;
    let key = demo.new_api_key("key").await;
    let call = async || {
        let call = app.browser().request(Method::GET, "/api/v1/usage").bearer_auth(&key);
        Page::of(call).await.status
    };
    assert!(demo.opens("/dashboard").await);
    assert_eq!(call().await, 200);
    let stripe = app.sandbox.url();
    let variables = [("STRIPE_API_BASE", stripe.as_str()), ("SANDBOX_ADDR", stripe.trim_start_matches("http://"))];
    run(&app.database, &variables, &["demo", "remove"]).await;
    assert_eq!(call().await, 401);
    assert!(!demo.opens("/dashboard").await);
}
