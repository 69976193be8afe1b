//! The supported databases, and a new one for each measurement.

use std::path::Path;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// A database system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Creates a database on the given PostgreSQL server, or a SQLite file in `folder`, and returns its URL.
pub async fn new_database(postgres: Option<&str>, folder: &Path, name: &str) -> anyhow::Result<String> {
    let Some(url) = postgres else { return Ok(format!("sqlite:{}", folder.join("bench.db").display())) };
    let name = format!("bench_{name}_{}", std::process::id());
    let mut connection = PgConnection::connect(url).await.context("cannot connect to PostgreSQL")?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    connection.close().await?;
    let (server, _) = url.rsplit_once('/').context("the PostgreSQL URL does not contain a database")?;
    Ok(format!("{server}/{name}"))
}
