//! Running one statement on either database.
//!
//! The values are owned and of a closed set of types, so that a call site compiles to a function
//! call rather than to two copies of sqlx's query machinery.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Postgres, Sqlite};

use super::db::Db;
use super::error::StoreError;
use super::tx::Tx;
use super::value::Value;

/// A row that can be read on both databases.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

macro_rules! bind_all {
    ($query:expr, $values:expr) => {
        $values.into_iter().fold($query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
            Value::Bool(flag) => query.bind(flag),
        })
    };
}

fn sqlite(sql: &'static str, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    bind_all!(sqlx::query(sql), values)
}

fn postgres(sql: &'static str, values: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    bind_all!(sqlx::query(sql), values)
}

fn sqlite_rows<R: Row>(sql: &'static str, values: Vec<Value>) -> QueryAs<'static, Sqlite, R, SqliteArguments> {
    bind_all!(sqlx::query_as(sql), values)
}

fn postgres_rows<R: Row>(sql: &'static str, values: Vec<Value>) -> QueryAs<'static, Postgres, R, PgArguments> {
    bind_all!(sqlx::query_as(sql), values)
}

fn each<D, R: for<'r> FromRow<'r, D>>(rows: &[D]) -> Vec<Result<R, StoreError>>
where
    D: sqlx::Row,
{
    rows.iter().map(|row| R::from_row(row).map_err(StoreError::from)).collect()
}

impl Db {
    /// Returns all rows of a query.
    pub async fn fetch_all<R: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<R>, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => sqlite_rows(sql, values).fetch_all(pools.readers()).await?,
            Self::Postgres(pool) => postgres_rows(sql, values).fetch_all(pool).await?,
        })
    }

    /// Returns all rows of a query, each of which may fail to be read without affecting the others.
    pub async fn fetch_each<R: Row>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Result<R, StoreError>>, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => each(&sqlite(sql, values).fetch_all(pools.readers()).await?),
            Self::Postgres(pool) => each(&postgres(sql, values).fetch_all(pool).await?),
        })
    }

    /// Returns the first row of a query, if there is one.
    pub async fn fetch_optional<R: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<R>, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => sqlite_rows(sql, values).fetch_optional(pools.readers()).await?,
            Self::Postgres(pool) => postgres_rows(sql, values).fetch_optional(pool).await?,
        })
    }

    /// Returns the first row of a query that always has one.
    pub async fn fetch_one<R: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<R, StoreError> {
        Ok(self.fetch_optional(sql, values).await?.ok_or(sqlx::Error::RowNotFound)?)
    }
}

impl Tx {
    /// Runs a statement, and returns the number of rows it changed.
    pub async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let done = sqlite(sql, values).execute(tx.connection()?).await;
                Ok(tx.checked(done)?.rows_affected())
            }
            Self::Postgres(tx) => {
                let done = postgres(sql, values).execute(tx.connection()?).await;
                Ok(tx.checked(done)?.rows_affected())
            }
        }
    }

    /// Returns all rows of a query.
    pub async fn fetch_all<R: Row>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<R>, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let rows = sqlite_rows(sql, values).fetch_all(tx.connection()?).await;
                tx.checked(rows)
            }
            Self::Postgres(tx) => {
                let rows = postgres_rows(sql, values).fetch_all(tx.connection()?).await;
                tx.checked(rows)
            }
        }
    }

    /// Returns all rows of a query, each of which may fail to be read without affecting the others.
    pub async fn fetch_each<R: Row>(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Result<R, StoreError>>, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let rows = sqlite(sql, values).fetch_all(tx.connection()?).await;
                Ok(each(&tx.checked(rows)?))
            }
            Self::Postgres(tx) => {
                let rows = postgres(sql, values).fetch_all(tx.connection()?).await;
                Ok(each(&tx.checked(rows)?))
            }
        }
    }

    /// Returns the first row of a query, if there is one.
    pub async fn fetch_optional<R: Row>(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<R>, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let row = sqlite_rows(sql, values).fetch_optional(tx.connection()?).await;
                tx.checked(row)
            }
            Self::Postgres(tx) => {
                let row = postgres_rows(sql, values).fetch_optional(tx.connection()?).await;
                tx.checked(row)
            }
        }
    }

    /// Returns the first row of a query that always has one.
    pub async fn fetch_one<R: Row>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<R, StoreError> {
        Ok(self.fetch_optional(sql, values).await?.ok_or(sqlx::Error::RowNotFound)?)
    }
}
