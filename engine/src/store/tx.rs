//! Transactions.
//!
//! A transaction that is dropped without [`Tx::commit`] is rolled back. On SQLite there is one
//! connection that writes, so it must never be left in a state nobody knows: SQLite ends a
//! transaction by itself when the disk is full or fails, and after such an error nothing more may run
//! on it as if the transaction were still open. The connection is rolled back and, where even that
//! fails, closed; the pool opens another (`tests/store/transactions.rs`).

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::error::StoreError;
use super::value::values;

/// Names a channel of PostgreSQL's notifications. SQLite has one node, which needs none.
const NOTIFY: &str = "SELECT pg_notify($1, $2)";
/// SQLite lets one writer in at a time and needs no locks.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// A transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, holding the one writer.
    Sqlite(SqliteTx),
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

/// A transaction on SQLite's one writing connection.
#[derive(Debug)]
pub struct SqliteTx {
    /// `None` once the transaction has ended.
    connection: Option<PoolConnection<Sqlite>>,
    /// Whether a statement failed, after which SQLite may have ended the transaction.
    has_failed: bool,
}

impl Tx {
    /// Makes every other transaction that locks the same name wait until this one ends. For what
    /// depends on a row that does not exist yet, which no row lock can hold.
    pub async fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            self.execute(LOCK, values![name]).await?;
        }
        Ok(())
    }

    /// Notifies the other nodes when this transaction commits.
    pub async fn notify(&mut self, channel: &str, payload: &str) -> Result<(), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            self.execute(NOTIFY, values![channel, payload]).await?;
        }
        Ok(())
    }

    /// Makes everything in it visible and durable.
    ///
    /// # Errors
    /// The database is unreachable. Then nothing of the transaction happened, or all of it did.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => Ok(tx.commit().await?),
        }
    }
}

impl SqliteTx {
    /// Begins a transaction that holds the writer from the start, so that two writers queue up
    /// instead of failing half-way.
    pub(super) async fn begin(writer: &SqlitePool) -> Result<Self, StoreError> {
        let mut tx = Self { connection: Some(writer.acquire().await?), has_failed: false };
        tx.run("BEGIN IMMEDIATE").await?;
        Ok(tx)
    }

    /// The connection, while the transaction is known to be open.
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match &mut self.connection {
            Some(connection) if !self.has_failed => Ok(&mut **connection),
            _ => Err(sqlx::Error::Protocol("a statement of this transaction has failed".to_owned()).into()),
        }
    }

    /// Notes a failure: see [`SqliteTx::connection`].
    pub(super) fn checked<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.has_failed |= result.is_err();
        Ok(result?)
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let done = sqlx::query(sql).execute(self.connection()?).await;
        self.checked(done).map(drop)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        self.run("COMMIT").await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Without a runtime the program is ending, and the connection with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = sqlx::query("ROLLBACK").execute(&mut *connection).await {
                tracing::warn!(%error, "a transaction could not be rolled back; its connection is closed");
                connection.close_on_drop();
            }
        });
    }
}
