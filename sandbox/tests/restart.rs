//! Acknowledged changes survive a restart.

mod support;

use std::io::Write as _;
use support::{Receiver, World, data, id, settled};

#[tokio::test]
async fn restart_keeps_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state/sandbox.jsonl");
    let world = World::on(state.clone()).await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    world.pay(&session, "4242424242424242").await;
    let first = world.keyed("k", "/v1/customers", &[]).await.ok();
    let before = [world.get("/v1/events?limit=100").await.ok(), world.get("/v1/subscriptions").await.ok()];
    world.sandbox.shutdown().await;

    // Twice, because the second start reads what the first one compacted.
    for _ in 0..2 {
        let world = World::on(state.clone()).await;
        let after = [world.get("/v1/events?limit=100").await.ok(), world.get("/v1/subscriptions").await.ok()];
        assert_eq!(before, after);
        assert_eq!(world.keyed("k", "/v1/customers", &[]).await.ok(), first);
        world.sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_change_is_on_disk_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    let world = World::on(state.clone()).await;
    let customer = id(&world.post("/v1/customers", &[]).await.ok());
    // This copy is what `kill -9` would leave.
    let killed = folder.path().join("killed.jsonl");
    std::fs::copy(&state, &killed).expect("copies");
    let after = World::on(killed).await;
    assert_eq!(id(&after.get(&format!("/v1/customers/{customer}")).await.ok()), customer);
}

#[tokio::test]
async fn a_torn_last_line_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    let world = World::on(state.clone()).await;
    world.post("/v1/customers", &[]).await.ok();
    world.sandbox.shutdown().await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&state).expect("opens");
    file.write_all(br#"[{"seq":99,"id":"cus_torn","obj"#).expect("writes");
    drop(file);

    let world = World::on(state).await;
    assert_eq!(data(&world.get("/v1/customers").await.ok()).len(), 1);
    world.post("/v1/customers", &[]).await.ok();
}

#[tokio::test]
async fn a_broken_line_in_the_middle_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    std::fs::write(&state, "not a commit\n[]\n").expect("writes");
    let config = sandbox::Config { state_path: Some(state), ..support::config() };
    let error = sandbox::start(config).await.expect_err("fails");
    assert!(matches!(error, sandbox::Error::Journal { line: 1, .. }), "{error}");
}

#[tokio::test]
async fn pending_deliveries_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    let (receiver, url) = Receiver::start(&[]).await;
    let world = World::on(state.clone()).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    world.sandbox.hold_deliveries(true);
    world.post("/v1/customers", &[]).await.ok();
    world.sandbox.shutdown().await;
    assert!(receiver.types().is_empty());

    let world = World::on(state).await;
    settled(&world.sandbox).await;
    assert_eq!(receiver.types(), ["customer.created"]);
    let endpoints = world.get("/v1/webhook_endpoints").await.ok();
    assert_eq!(data(&endpoints).len(), 1);
}
