//! A fresh database on either engine. PostgreSQL missing is a failure, not a skip.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Connection;

/// Where a test runs.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The address of a new, empty database.
    pub async fn fresh_database(self, files: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", files.join("tollgate.db").display()),
            Self::Postgres => postgres().await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where PostgreSQL is, only the test run knows")]
async fn postgres() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("TOLLGATE_TEST_POSTGRES")
        .expect("TOLLGATE_TEST_POSTGRES must name a PostgreSQL server: `make test` starts one");
    let name = format!("http_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    sqlx::query(&format!("CREATE DATABASE {name}")).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (before, _) = server.rsplit_once('/').expect("postgres://host/database");
    format!("{before}/{name}")
}
