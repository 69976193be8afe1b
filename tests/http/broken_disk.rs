//! A disk that fails under the program: nothing that was acknowledged is lost, `/readyz` says so, and work continues
//! without a restart once the disk is repaired.
//!
//! `tests/support/failing_disk.c` replaces libc's functions, so these tests need a dynamically linked program.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::path::PathBuf;
use std::process::Command;

use reqwest::{Client, Method};
use server::config::SANDBOX_WEBHOOK_SECRET;

use crate::support::{Browser, Database, DatabaseKind, Page, Program, event, signed, until};

const EIO: i32 = 5;
const EROFS: i32 = 30;

/// What decides whether the calls on a database fail.
struct FailingDisk {
    library: PathBuf,
    switch: PathBuf,
    database: PathBuf,
}

impl FailingDisk {
    /// `None` if there is no C compiler.
    fn of(database: &Database) -> Option<Self> {
        let folder = database.files.path().canonicalize().unwrap();
        let library = folder.join("failing_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/failing_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).args([source, "-ldl"]);
        match compiler.status() {
            Err(error) => {
                println!("skipped: cc, the C compiler, cannot be run: {error}");
                return None;
            }
            Ok(status) => assert!(status.success(), "{source} cannot be compiled"),
        }
        Some(Self { library, switch: folder.join("switch"), database: folder.join("tollgate.db") })
    }

    async fn start(&self, database: &Database) -> Program {
        let [library, switch, file] = [&self.library, &self.switch, &self.database].map(|path| path.to_str().unwrap());
        let variables = [("LD_PRELOAD", library), ("FAILING_SWITCH", switch), ("FAILING_DATABASE", file)];
        Program::start(database, &variables).await
    }

    /// Lets all calls of a kind fail. A whole file replaces the switch, because it is read meanwhile.
    fn fail(&self, kind: &str, error: i32) {
        let next = self.switch.with_extension("next");
        std::fs::write(&next, format!("{kind} {error}")).unwrap();
        std::fs::rename(next, &self.switch).unwrap();
    }

    fn repair(&self) {
        std::fs::remove_file(&self.switch).unwrap();
    }
}

/// Webhooks and usage events of one user, and what the program has acknowledged.
struct Traffic {
    browser: Browser,
    url: String,
    events: Vec<(String, u16)>,
    calls: Vec<(String, u16)>,
}

impl Traffic {
    async fn of(program: &Program) -> Self {
        let browser = Browser::new(&program.url);
        let fields = [("email", "ada@example.com"), ("password", "correct horse")];
        assert_eq!(browser.post("/signup", &fields).await.status, 303);
        Self { browser, url: program.url.clone(), events: Vec::new(), calls: Vec::new() }
    }

    /// Sends some of each, and returns the statuses.
    async fn send(&mut self, name: &str) -> Vec<u16> {
        for number in 0..4 {
            let id = format!("evt_{name}_{number}");
            let status = deliver(&self.url, &id).await;
            self.events.push((id, status));
            let key = format!("{name}-{number}");
            self.calls.push((key.clone(), self.call(&key).await.status));
        }
        let sent = self.events.iter().rev().take(4).chain(self.calls.iter().rev().take(4));
        sent.map(|(_, status)| *status).collect()
    }

    async fn call(&self, key: &str) -> Page {
        let call = self.browser.request(Method::GET, &format!("{}/api/v1/entitlements", self.url));
        Page::of(call.header("idempotency-key", key)).await
    }

    fn acknowledged(sent: &[(String, u16)]) -> usize {
        sent.iter().filter(|(_, status)| *status == 200).count()
    }
}

async fn deliver(url: &str, id: &str) -> u16 {
    let body = event(id, "balance.available", &serde_json::json!({ "object": "balance" }));
    let request = Client::new().request(Method::POST, format!("{url}/api/stripe/webhook"));
    let request = request.header("stripe-signature", signed(&body, &[SANDBOX_WEBHOOK_SECRET], 0));
    request.body(body).send().await.unwrap().status().as_u16()
}

async fn until_ready(program: &Program, status: u16) {
    until(async || program.ready().await.is_some_and(|(ready, _)| ready == status)).await;
}

/// Lets all calls of a kind fail for a while, and kills the program afterwards.
async fn nothing_is_lost(kind: &str, error: i32) {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let Some(disk) = FailingDisk::of(&database) else { return };
    let mut program = disk.start(&database).await;
    let mut traffic = Traffic::of(&program).await;
    assert_eq!(traffic.send("before").await, [200; 8]);

    disk.fail(kind, error);
    until_ready(&program, 503).await;
    assert_eq!(program.ready().await.unwrap().1["database"], "not writable");
    let during = traffic.send("during").await;
    assert!(during.iter().all(|status| *status >= 500), "nothing can be acknowledged: {during:?}");

    disk.repair();
    until_ready(&program, 200).await;
    assert_eq!(traffic.send("later").await, [200; 8], "without a restart");
    program.kill();

    let program = disk.start(&database).await;
    traffic.url.clone_from(&program.url);
    let db = engine::Db::connect(&engine::settings::DatabaseUrl::parse(&database.url).unwrap()).await.unwrap();
    let stored = database.texts(&db, "SELECT event_id FROM webhook_event ORDER BY event_id").await;
    for (id, status) in &traffic.events {
        assert_eq!(stored.contains(id), *status == 200, "{id} returned {status}: {stored:?}");
    }
    db.close().await;
    // Each key that was acknowledged is known, so a retry counts nothing; what was rejected was not counted.
    for (key, status) in &traffic.calls {
        if *status == 200 {
            assert_eq!(traffic.call(key).await.status, 200);
        }
    }
    let usage = traffic.browser.get(&format!("{}/api/v1/usage", traffic.url)).await.json();
    let meters = usage["meters"].as_array().unwrap();
    let calls = meters.iter().find(|meter| meter["meter"] == "apiCallsPerMonth").unwrap();
    assert_eq!(calls["used"], Traffic::acknowledged(&traffic.calls) + 1, "this call included");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_flush_loses_nothing_and_work_continues_once_it_can() {
    nothing_is_lost("sync", EIO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_whose_writes_fail_loses_nothing_and_work_continues_once_they_succeed() {
    nothing_is_lost("write", EIO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filesystem_that_becomes_read_only_loses_nothing_and_work_continues_once_it_is_writable() {
    nothing_is_lost("write", EROFS).await;
}
