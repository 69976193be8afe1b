//! Storage that fails: nothing that was acknowledged is lost, nothing that was rejected is stored, `/readyz`
//! says so, and work continues without a restart wherever that is possible.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engine::settings::DatabaseUrl;
use engine::store::{Db, inbox, values};
use futures::future::join_all;
use reqwest::{Client, Method};
use server::config::SANDBOX_WEBHOOK_SECRET;
use tokio::net::TcpStream;

use crate::support::{
    Database, DatabaseKind, Harness, Program, deliver, event, on_both_databases, signed, tollgate, until,
};

/// An event that changes nothing and needs no response from Stripe.
fn ignored(id: &str) -> String {
    event(id, "balance.available", &serde_json::json!({ "object": "balance" }))
}

/// Delivers an event to the program over a client's connection. Returns the status.
async fn delivered(client: &Client, program: &Program, id: &str) -> u16 {
    let body = ignored(id);
    let signature = signed(&body, &[SANDBOX_WEBHOOK_SECRET], 0);
    let request = client.request(Method::POST, format!("{}/api/stripe/webhook", program.url));
    let response = request.header("stripe-signature", signature).body(body).send().await.unwrap();
    response.status().as_u16()
}

/// The ids of the events that are stored in the file, as the next server finds them.
async fn stored(database: &Database) -> Vec<String> {
    let db = Db::connect(&DatabaseUrl::parse(&database.url).unwrap()).await.unwrap();
    let query = "SELECT event_id FROM webhook_event ORDER BY event_id";
    let ids = database.texts(&db, query).await;
    db.close().await;
    ids
}

async fn until_ready(program: &Program) {
    until(async || program.ready().await.is_some_and(|(status, _)| status == 200)).await;
}

/// Waits until the program is not ready, and returns what it says about the database.
async fn until_not_ready(program: &Program) -> String {
    until(async || program.ready().await.is_some_and(|(status, _)| status == 503)).await;
    let (_, ready) = program.ready().await.unwrap();
    ready["database"].as_str().unwrap().to_owned()
}

/// Lets writes fail and succeed again while events are delivered, and kills the program at the end.
async fn fail_and_recover(database: &Database, program: &mut Program, fail: impl Fn(), recover: impl Fn()) {
    let client = Client::new();
    let mut statuses = vec![("evt_before".to_owned(), delivered(&client, program, "evt_before").await)];
    assert_eq!(statuses[0].1, 200);
    fail();
    assert_eq!(until_not_ready(program).await, "not writable");
    for number in 0..8 {
        let id = format!("evt_{number}");
        let status = delivered(&client, program, &id).await;
        statuses.push((id, status));
    }
    assert!(statuses.iter().any(|(_, status)| *status == 500), "{statuses:?}");
    recover();
    until_ready(program).await;
    statuses.push(("evt_later".to_owned(), delivered(&client, program, "evt_later").await));
    assert_eq!(statuses.last().unwrap().1, 200, "without a restart");
    program.kill();

    let stored = stored(database).await;
    for (id, status) in &statuses {
        assert_eq!(stored.contains(id), *status == 200, "{id} returned {status}: {stored:?}");
    }
}

/// Changes a limit of a running process. The hard limit stays, so that it can be raised again.
fn limit(process: &str, limit: &str) {
    let limited = Command::new("prlimit").args(["--pid", process, limit]).status();
    assert!(limited.expect("prlimit of util-linux is installed").success());
}

fn wal(database: &Database) -> PathBuf {
    database.files.path().join("tollgate.db-wal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_the_disk_rejects_are_not_acknowledged_and_succeed_again_later() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mut program = Program::start(&database, &[]).await;
    let size = std::fs::metadata(wal(&database)).unwrap().len();
    let id = program.id();
    // The WAL cannot grow any more: an I/O error for SQLite.
    let (fail, recover) = (|| limit(&id, &format!("--fsize={size}:")), || limit(&id, "--fsize=unlimited:"));
    fail_and_recover(&database, &mut program, fail, recover).await;
}

/// A small filesystem, mounted on the folder of a database. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount_on(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(folder).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Everything that the program writes is on it, its log included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filesystem_without_space_loses_nothing_and_work_continues_once_it_has_some() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let Some(disk) = SmallDisk::mount_on(database.files.path()) else {
        println!("skipped: only root may mount; `a_full_disk_…` limits the size of the database instead");
        return;
    };
    let mut program = Program::start(&database, &[]).await;
    fail_and_recover(&database, &mut program, || disk.fill(), || disk.free()).await;
}

/// SQLite has a separate error for a full disk, which it also reports if its file may not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_work_continues_once_it_has_room() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let set = async |limit: &'static str| {
        let mut tx = app.tollgate.db().begin().await.unwrap();
        tx.execute(limit, values![]).await.unwrap();
        tx.commit().await.unwrap();
    };
    let deliver = async |id: &str| {
        let object = serde_json::json!({ "object": "balance", "padding": "x".repeat(200_000) });
        (id.to_owned(), deliver(app.url.clone(), event(id, "balance.available", &object)).await)
    };
    let mut statuses = vec![deliver("evt_before").await];
    // Never fewer pages than there are.
    set("PRAGMA max_page_count = 1").await;
    for number in 0..8 {
        statuses.push(deliver(&format!("evt_{number}")).await);
    }
    assert!(statuses.iter().any(|(_, status)| *status == 500), "{statuses:?}");
    set("PRAGMA max_page_count = 1000000").await;
    statuses.push(deliver("evt_later").await);
    for (id, status) in [&statuses[0], statuses.last().unwrap()] {
        assert_eq!(*status, 200, "{id}");
    }
    let stored = stored(&app.database).await;
    for (id, status) in &statuses {
        assert_eq!(stored.contains(id), *status == 200, "{id} returned {status}: {stored:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_free_file_descriptors_open_connections_are_served_and_others_later() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mut program = Program::start(&database, &[]).await;
    let client = Client::new();
    assert_eq!(delivered(&client, &program, "evt_1").await, 200);
    limit(&program.id(), "--nofile=0:");
    assert_eq!(delivered(&client, &program, "evt_2").await, 200, "the connection is open");
    let other = Client::new();
    let rejected = other.get(format!("{}/healthz", program.url)).timeout(std::time::Duration::from_millis(200));
    assert!(rejected.send().await.is_err(), "no connection is accepted");
    limit(&program.id(), "--nofile=1024:");
    assert_eq!(delivered(&other, &program, "evt_3").await, 200);
    until_ready(&program).await;
    program.kill();
    let stored = stored(&database).await;
    assert!(["evt_1", "evt_2", "evt_3"].iter().all(|id| stored.iter().any(|stored| stored == id)), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_idle_connections_than_file_descriptors_do_not_stop_a_webhook() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let program = Program::start_with_descriptors(&database, 256).await;
    let address = program.url.strip_prefix("http://").unwrap();
    let idle = join_all((0..300).map(|_| TcpStream::connect(address))).await;
    assert!(idle.iter().all(Result::is_ok));
    assert_eq!(delivered(&Client::new(), &program, "evt_1").await, 200);
    assert!(!program.log().contains("os error 24"), "file descriptors were left: {}", program.log());
    drop(idle);
}

/// SQLite continues with an unlinked file, which disappears with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_wal_loses_nothing_that_was_acknowledged() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mut program = Program::start(&database, &[]).await;
    let client = Client::new();
    assert_eq!(delivered(&client, &program, "evt_1").await, 200);
    std::fs::remove_file(wal(&database)).unwrap();
    let second = delivered(&client, &program, "evt_2").await;
    assert!(until_not_ready(&program).await.contains("deleted or replaced"));
    assert_eq!(delivered(&client, &program, "evt_3").await, 500);
    program.kill();
    let stored = stored(&database).await;
    assert!(stored.contains(&"evt_1".to_owned()), "{stored:?}");
    assert!(second != 200 || stored.contains(&"evt_2".to_owned()), "{stored:?}");
    assert!(!stored.contains(&"evt_3".to_owned()), "{stored:?}");
    let program = Program::start(&database, &[]).await;
    assert_eq!(delivered(&client, &program, "evt_3").await, 200, "after a restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_uses_an_sqlite_file_and_commands_run_alongside_it() {
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mut first = Program::start(&database, &[]).await;
    let mut second = Program::spawn(&database, &[]);
    assert_eq!(second.ended().await, Some(1));
    let log = second.log();
    assert!(log.contains(&format!("another server (process {})", first.id())), "{log}");
    assert!(log.contains("tollgate.db"), "with the file: {log}");
    until_ready(&first).await;
    let command = |arguments: &[&str]| {
        let variables = [("DATABASE_URL", database.url.as_str())];
        tollgate(&database.files, &variables).args(arguments).status().unwrap()
    };
    assert!(command(&["migrate"]).success() && command(&["events", "list"]).success());
    // The lock is released when the process ends, even if it is killed.
    first.kill();
    let third = Program::start(&database, &[]).await;
    until_ready(&third).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_can_read_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let database = DatabaseKind::Sqlite.fresh_database().await;
    let mode = |name: &str| {
        let metadata = std::fs::metadata(database.files.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for _ in 0..2 {
        let mut program = Program::start(&database, &[]).await;
        for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm", "tollgate.db.sandbox"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        program.kill();
        // As after a restored backup, or an editor.
        for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm", "tollgate.db.sandbox"] {
            let path = database.files.path().join(name);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

on_both_databases! {
    async fn a_database_that_only_serves_reads_is_not_ready(database) {
        let app = Harness::start(database).await;
        let ready = async || app.browser().get("/readyz").await;
        assert_eq!(ready().await.status, 200);
        let outage = app.database.stop_writes().await;
        app.until(async || ready().await.status == 503).await;
        assert_eq!(deliver(app.url.clone(), ignored("evt_1")).await, 500);
        outage.end().await;
        app.until(async || ready().await.status == 200).await;
        app.until(async || deliver(app.url.clone(), ignored("evt_1")).await == 200).await;
        let stored = inbox::by_id(app.tollgate.db(), &billing::EventId::new("evt_1")).await.unwrap();
        assert!(stored.is_some());
    }
}
