//! A fresh database on either engine, gone afterwards. PostgreSQL missing is a failure, not a skip.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Connection;
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
        let mut connection = sqlx::PgConnection::connect(&self.server).await?;
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
