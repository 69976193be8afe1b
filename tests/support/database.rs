//! A fresh database on either engine, gone afterwards. PostgreSQL missing is a failure, not a skip.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// Where a test runs.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database of one's own, as long as this is held.
pub struct Database {
    /// Its address.
    pub url: String,
    /// A folder of one's own; a database in a file lies in it.
    pub files: TempDir,
    on_server: Option<OnServer>,
}

struct OnServer {
    server: String,
    name: String,
}

impl Engine {
    /// A new, empty database.
    pub async fn fresh_database(self) -> Database {
        let files = tempfile::tempdir().unwrap();
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
    /// Makes the database refuse to write such events, whatever else was written with them.
    pub async fn refuse(&self, write: &str, when: &str) {
        let trigger = match self.on_server {
            None => format!(
                "CREATE TRIGGER refusal BEFORE {write} ON webhook_event WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
            ),
            Some(_) => format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                CREATE TRIGGER refusal BEFORE {write} ON webhook_event FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
            ),
        };
        self.run(&trigger).await;
    }

    /// Ends what [`Database::refuse`] began.
    pub async fn refuse_no_more(&self) {
        self.run(if self.on_server.is_some() { "DROP FUNCTION refuse CASCADE" } else { "DROP TRIGGER refusal" }).await;
    }

    /// Takes the database away from everybody who uses it, in the middle of what they are at:
    /// PostgreSQL hangs up and takes no calls; SQLite's file is locked.
    pub async fn take_away(&self) -> Outage<'_> {
        match &self.on_server {
            None => {
                let mut lock = SqliteConnection::connect(&self.url).await.unwrap();
                lock.execute("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE").await.unwrap();
                Outage { on_server: None, _lock: Some(lock) }
            }
            Some(server) => {
                server.say("ALTER DATABASE", "ALLOW_CONNECTIONS false").await.unwrap();
                let hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
                let mut connection = PgConnection::connect(&server.server).await.unwrap();
                connection.execute(format!("{hang_up}'{}'", server.name).as_str()).await.unwrap();
                Outage { on_server: Some(server), _lock: None }
            }
        }
    }

    async fn run(&self, sql: &str) {
        let ran = match self.on_server {
            None => SqliteConnection::connect(&self.url).await.unwrap().execute(sqlx::raw_sql(sql)).await.map(drop),
            Some(_) => PgConnection::connect(&self.url).await.unwrap().execute(sqlx::raw_sql(sql)).await.map(drop),
        };
        ran.unwrap();
    }
}

/// A database that is away.
pub struct Outage<'a> {
    on_server: Option<&'a OnServer>,
    _lock: Option<SqliteConnection>,
}

impl Outage<'_> {
    /// It is back.
    pub async fn end(self) {
        if let Some(server) = self.on_server {
            server.say("ALTER DATABASE", "ALLOW_CONNECTIONS true").await.unwrap();
        }
    }
}

impl OnServer {
    #[expect(clippy::disallowed_methods, reason = "where PostgreSQL is, only the test run knows")]
    async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TOLLGATE_TEST_POSTGRES")
            .expect("TOLLGATE_TEST_POSTGRES must name a PostgreSQL server: `make test` starts one");
        let name = format!("http_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Self { server, name };
        made.say("CREATE DATABASE", "").await.unwrap();
        made
    }

    async fn say(&self, what: &str, how: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server).await?;
        sqlx::query(&format!("{what} {} {how}", self.name)).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for OnServer {
    /// Clears the database away, from a thread that may wait for it.
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                // One that stays is in nobody's way.
                drop(runtime.block_on(self.say("DROP DATABASE IF EXISTS", "WITH (FORCE)")));
            });
        });
    }
}
