//! A new database for a test, SQLite or PostgreSQL, dropped afterwards. Without PostgreSQL tests fail.

use std::sync::atomic::{AtomicU32, Ordering};

use engine::Db;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::wait::until;

/// Declares tests that run on both databases.
macro_rules! on_both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident) $body:block)*) => {
        mod sqlite {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::bodies::$name(crate::support::DatabaseKind::Sqlite).await; })*
        }
        mod postgres {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::bodies::$name(crate::support::DatabaseKind::Postgres).await; })*
        }
        mod bodies {
            #[allow(unused_imports)]
            use super::*;
            $(pub async fn $name($database: crate::support::DatabaseKind) $body)*
        }
    };
}
pub(crate) use on_both_databases;

/// The kind of database that a test runs on.
#[derive(Clone, Copy, Debug)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// A test's database, dropped together with this value.
pub struct Database {
    /// Its address.
    pub url: String,
    /// A folder of the test. SQLite's file is in it.
    pub files: TempDir,
    on_server: Option<OnServer>,
}

struct OnServer {
    server: String,
    name: String,
}

impl DatabaseKind {
    /// A new, empty database.
    pub async fn fresh_database(self) -> Database {
        // In memory where possible: no test needs its database to survive a crash of the machine.
        let files = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        match self {
            Self::Sqlite => {
                let url = format!("sqlite:{}", files.path().join("tollgate.db").display());
                Database { url, files, on_server: None }
            }
            Self::Postgres => {
                let on_server = OnServer::create().await;
                let (before, _) = on_server.server.rsplit_once('/').expect("postgres://host/database");
                let url = format!("{before}/{}", on_server.name);
                Database { url, files, on_server: Some(on_server) }
            }
        }
    }
}

impl Database {
    /// Deletes every row of every table. `db` is connected to it.
    pub async fn empty(&self, db: &Db) {
        if let Some(pool) = db.postgres_pool() {
            // TRUNCATE would create new files for every table.
            let all = "DO $$ DECLARE name text; BEGIN
                SET LOCAL session_replication_role = replica;
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
                LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
            END $$";
            pool.execute(all).await.unwrap();
            return;
        }
        let names = "SELECT name FROM sqlite_master WHERE type = 'table' \
            AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name <> '_sqlx_migrations'";
        let names = self.texts(db, names).await;
        let all: String = names.iter().map(|name| format!("DELETE FROM \"{name}\"; ")).collect();
        self.run(&format!("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; {all}COMMIT")).await;
    }

    /// Runs a query of one column of text. `db` is connected to it.
    pub async fn texts(&self, db: &Db, query: &str) -> Vec<String> {
        let query = AssertSqlSafe(query);
        match db.postgres_pool() {
            Some(pool) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
            None => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
            }
        }
    }

    /// The columns in which a string is stored anywhere, as `table.column`. `db` is connected to it.
    pub async fn traces(&self, db: &Db, text: &str) -> Vec<String> {
        const SQLITE: &str = "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c \
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.type = 'TEXT' AND t.name <> '_sqlx_migrations'";
        const POSTGRES: &str = "SELECT table_name || '.' || column_name FROM information_schema.columns \
            WHERE table_schema = 'public' AND data_type = 'text' AND table_name <> '_sqlx_migrations'";
        let columns = self.texts(db, if db.is_shared() { POSTGRES } else { SQLITE }).await;
        assert!(columns.len() > 50, "{columns:?}");
        let mut found = Vec::new();
        for column in columns {
            let (table, name) = column.split_once('.').unwrap();
            let query = format!("SELECT \"{name}\" FROM \"{table}\" WHERE \"{name}\" LIKE '%{text}%'");
            if !self.texts(db, &query).await.is_empty() {
                found.push(column);
            }
        }
        found
    }

    /// Makes the database reject these writes of events, and so their transactions.
    pub async fn reject(&self, write: &str, when: &str) {
        let trigger = match self.on_server {
            None => format!(
                "CREATE TRIGGER rejection BEFORE {write} ON webhook_event WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
            ),
            Some(_) => format!(
                "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                CREATE TRIGGER rejection BEFORE {write} ON webhook_event FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION reject()"
            ),
        };
        self.run(&trigger).await;
    }

    /// Accepts all writes again.
    pub async fn accept(&self) {
        self.run(if self.on_server.is_some() { "DROP FUNCTION reject CASCADE" } else { "DROP TRIGGER rejection" })
            .await;
    }

    /// Makes the database unavailable while it is in use: PostgreSQL closes every connection and accepts none;
    /// SQLite's file is locked.
    pub async fn take_away(&self) -> Outage<'_> {
        match &self.on_server {
            None => {
                let mut lock = SqliteConnection::connect(&self.url).await.unwrap();
                lock.execute("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE").await.unwrap();
                Outage { on_server: None, _lock: Some(lock), is_read_only: false }
            }
            Some(server) => {
                server.run("ALTER DATABASE", "ALLOW_CONNECTIONS false").await.unwrap();
                server.disconnect_all().await;
                Outage { on_server: Some(server), _lock: None, is_read_only: false }
            }
        }
    }

    /// Makes every write fail, as on a full disk or a standby, while reads succeed.
    pub async fn stop_writes(&self) -> Outage<'_> {
        let Some(server) = &self.on_server else { return self.take_away().await };
        server.run("ALTER DATABASE", "SET default_transaction_read_only = on").await.unwrap();
        server.disconnect_all().await;
        Outage { on_server: Some(server), _lock: None, is_read_only: true }
    }

    /// Returns once another connection waits for a lock on a row; immediately on SQLite, where a writer waits before
    /// its transaction begins. `db` is connected to it.
    pub async fn until_waiting(&self, db: &Db) {
        let waiting = "SELECT CAST(pid AS TEXT) FROM pg_stat_activity \
            WHERE wait_event_type = 'Lock' AND datname = current_database()";
        until(async || !db.is_shared() || !self.texts(db, waiting).await.is_empty()).await;
    }

    /// Runs a statement as no version of the program does.
    pub async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql);
        let ran = match self.on_server {
            None => SqliteConnection::connect(&self.url).await.unwrap().execute(sqlx::raw_sql(sql)).await.map(drop),
            Some(_) => PgConnection::connect(&self.url).await.unwrap().execute(sqlx::raw_sql(sql)).await.map(drop),
        };
        ran.unwrap();
    }
}

/// A database that is unavailable.
pub struct Outage<'a> {
    on_server: Option<&'a OnServer>,
    _lock: Option<SqliteConnection>,
    is_read_only: bool,
}

impl Outage<'_> {
    /// Makes it available again.
    pub async fn end(self) {
        let Some(server) = self.on_server else { return };
        if self.is_read_only {
            server.run("ALTER DATABASE", "RESET default_transaction_read_only").await.unwrap();
            // A connection keeps the setting that it started with.
            server.disconnect_all().await;
        } else {
            server.run("ALTER DATABASE", "ALLOW_CONNECTIONS true").await.unwrap();
        }
    }
}

impl OnServer {
    #[expect(clippy::disallowed_methods, reason = "`make test` gives the address of PostgreSQL")]
    async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server =
            std::env::var("TOLLGATE_TEST_POSTGRES").expect("`make test` starts a PostgreSQL server and sets it");
        let name = format!("http_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Self { server, name };
        made.run("CREATE DATABASE", "").await.unwrap();
        made
    }

    async fn disconnect_all(&self) {
        let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("{disconnect}'{}'", self.name))).await.unwrap();
    }

    async fn run(&self, verb: &str, options: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server).await?;
        let statement = AssertSqlSafe(format!("{verb} {} {options}", self.name));
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for OnServer {
    /// Drops the database, on a thread that may block.
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                // A leftover database does not disturb other tests.
                drop(runtime.block_on(self.run("DROP DATABASE IF EXISTS", "WITH (FORCE)")));
            });
        });
    }
}
