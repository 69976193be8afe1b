//! A separate database for each test, on SQLite and on PostgreSQL, removed afterwards.
//!
//! Test programs of other crates include this file too. Each has a module `tables` whose `migrate` creates
//! the tables that its tests need.

use std::str::FromStr;
use std::time::Duration;

use engine::store::driver::postgres::PgConnectOptions;
use engine::store::driver::sqlite::SqliteConnectOptions;
use engine::store::driver::{self, AssertSqlSafe, ConnectOptions, Connection, Executor};
use engine::{DatabaseUrl, Db, ids};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::tables;

/// Declares tests that are written once and run on both databases.
macro_rules! on_both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident) $body:block)*) => {
        $($(#[$doc])* async fn $name($database: $crate::databases::TestDatabase) $body)*

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::databases::on_sqlite(super::$name).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::databases::on_postgres(super::$name).await;
            })*
        }
    };
}

/// A migrated database. Cheap to clone.
#[derive(Clone)]
pub struct TestDatabase {
    pub db: Db,
    pub url: DatabaseUrl,
    direct: Direct,
}

/// Connects without the store, to create rows that no version of the program writes.
#[derive(Clone)]
enum Direct {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

/// Runs a test in an SQLite file.
pub async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(TestDatabase) -> F) {
    // In memory where possible: no test needs its database to survive a crash of the machine.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a temporary folder can be created");
    let address = format!("sqlite:{}/tollgate.db", folder.path().display());
    let direct = Direct::Sqlite(SqliteConnectOptions::from_str(&address).expect("the address is valid"));
    let database = TestDatabase::open(DatabaseUrl::Sqlite(address), direct).await;
    pass_on(run(database, test).await);
}

/// Runs a test in a PostgreSQL database.
pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(TestDatabase) -> F) {
    let server = server();
    let name = format!("tollgate_test_{}", ids::new_id());
    let mut connection = server.connect().await.expect("TOLLGATE_TEST_POSTGRES answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.expect("TOLLGATE_TEST_POSTGRES allows creating databases");

    let options = server.database(&name);
    let url = DatabaseUrl::Postgres { url: options.to_url_lossy().to_string().into(), schema: None };
    let outcome = run(TestDatabase::open(url, Direct::Postgres(options)).await, test).await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    connection.execute(drop).await.expect("the database can be dropped");
    pass_on(outcome);
}

#[expect(clippy::disallowed_methods, reason = "only the environment knows where the tests' PostgreSQL is")]
fn server() -> PgConnectOptions {
    let address = std::env::var("TOLLGATE_TEST_POSTGRES").expect(
        "TOLLGATE_TEST_POSTGRES is not set: it specifies a PostgreSQL server on which tests may create databases, \
         such as postgres://tollgate@127.0.0.1:5432/postgres (`make test` starts one and sets it)",
    );
    PgConnectOptions::from_str(&address)
        .expect("TOLLGATE_TEST_POSTGRES is of the form postgres://user@host:port/database")
}

/// Runs a test in its own task, so that the database can be removed even if it fails.
async fn run<F: Future<Output = ()> + Send + 'static>(
    database: TestDatabase,
    test: impl FnOnce(TestDatabase) -> F,
) -> Result<(), JoinError> {
    let outcome = tokio::spawn(test(database.clone())).await;
    database.db.close().await;
    outcome
}

fn pass_on(outcome: Result<(), JoinError>) {
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

impl TestDatabase {
    async fn open(url: DatabaseUrl, direct: Direct) -> Self {
        let db = Db::connect(&url).await.expect("the database is reachable");
        tables::migrate(&db).await.expect("the migrations apply");
        Self { db, url, direct }
    }

    /// Connects as another node does.
    pub async fn another_node(&self) -> Db {
        Db::connect(&self.url).await.expect("the database is reachable")
    }

    /// Returns the same database with other connections.
    pub fn through(&self, db: &Db) -> Self {
        Self { db: db.clone(), ..self.clone() }
    }

    /// How to connect to the database, which must be PostgreSQL's.
    pub fn postgres_options(&self) -> &PgConnectOptions {
        match &self.direct {
            Direct::Postgres(options) => options,
            Direct::Sqlite(_) => panic!("the database is not PostgreSQL's"),
        }
    }

    /// Runs one statement without the store.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.direct {
            Direct::Sqlite(options) => {
                let mut connection = options.connect().await.expect("the database is reachable");
                connection.execute(sql).await.expect("the statement is valid");
                connection.close().await.expect("the connection closes");
            }
            Direct::Postgres(options) => {
                let mut connection = options.connect().await.expect("the database is reachable");
                connection.execute(sql).await.expect("the statement is valid");
                connection.close().await.expect("the connection closes");
            }
        }
    }

    /// Returns the first column of each row of a query, read without the store.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let sql = AssertSqlSafe(sql.to_owned());
        let rows: Vec<(Option<String>,)> = match &self.direct {
            Direct::Sqlite(options) => {
                let mut connection = options.connect().await.expect("the database is reachable");
                let rows = driver::query_as(sql).fetch_all(&mut connection).await.expect("the query is valid");
                connection.close().await.expect("the connection closes");
                rows
            }
            Direct::Postgres(options) => {
                let mut connection = options.connect().await.expect("the database is reachable");
                let rows = driver::query_as(sql).fetch_all(&mut connection).await.expect("the query is valid");
                connection.close().await.expect("the connection closes");
                rows
            }
        };
        rows.into_iter().map(|(text,)| text).collect()
    }

    /// Returns when `other` is waiting for a lock, or has not had to. Returns immediately on SQLite, where
    /// every writer waits before its transaction begins.
    pub async fn until_waiting<T>(&self, other: &JoinHandle<T>) {
        const WAITING: &str =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let Some(pool) = self.db.postgres_pool() else { return };
        until("the other task waits or is done", || async {
            let (waiting,): (i64,) = driver::query_as(WAITING).fetch_one(pool).await.expect("it answers");
            waiting > 0 || other.is_finished()
        })
        .await;
    }
}

/// Runs `task` `times` times concurrently and returns the results, in no particular order.
pub async fn concurrently<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    times: usize,
    task: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: JoinSet<T> = (0..times).map(task).collect();
    running.join_all().await
}

/// Waits for a condition; panics if it does not hold within a minute.
pub async fn until<F: Future<Output = bool>>(condition: &str, holds: impl Fn() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            ticks.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "not within a minute: {condition}");
}
