//! Statements that no part of the server runs, such as filling a table.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

/// A connection to the database under test.
pub enum Sql {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Sql {
    /// Connects.
    pub async fn connect(database: &str) -> anyhow::Result<Self> {
        let connection = if database.starts_with("sqlite:") {
            SqliteConnection::connect(database).await.map(Self::Sqlite)
        } else {
            PgConnection::connect(database).await.map(Self::Postgres)
        };
        connection.context("cannot connect to the database")
    }

    /// Runs a statement.
    pub async fn execute(&mut self, sql: String) -> anyhow::Result<()> {
        let statement = AssertSqlSafe(sql.clone());
        let done = match self {
            Self::Sqlite(connection) => connection.execute(statement).await.map(drop),
            Self::Postgres(connection) => connection.execute(statement).await.map(drop),
        };
        done.with_context(|| format!("cannot run {sql}"))
    }

    /// Runs a query for one number.
    pub async fn number(&mut self, sql: &str) -> anyhow::Result<i64> {
        let query = AssertSqlSafe(sql.to_owned());
        let number = match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
        };
        number.with_context(|| format!("cannot run {sql}"))
    }

    /// Returns a subquery with a column `n` of the whole numbers from `first` to `last`.
    pub fn numbers(&self, first: u64, last: u64) -> String {
        match self {
            Self::Sqlite(_) => format!(
                "(WITH RECURSIVE number(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM number WHERE n < {last}) \
                SELECT n FROM number) AS number"
            ),
            Self::Postgres(_) => format!("generate_series({first}, {last}) AS number(n)"),
        }
    }

    /// Brings tables into the state in which a database in use has them: statistics, and nothing left to write to disk.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let statements = match self {
            Self::Sqlite(_) => ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"],
            Self::Postgres(_) => ["VACUUM ANALYZE", "CHECKPOINT"],
        };
        for statement in statements {
            self.execute(statement.to_owned()).await?;
        }
        Ok(())
    }

    /// Closes the connection.
    pub async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(connection) => connection.close().await?,
            Self::Postgres(connection) => connection.close().await?,
        }
        Ok(())
    }
}
