//! Transactions.
//!
//! A transaction that is dropped without [`Tx::commit`] is rolled back. One of which a statement failed,
//! or was abandoned halfway, can only be rolled back: PostgreSQL would answer its `COMMIT` with a
//! rollback and no error, and SQLite ends a transaction by itself when the disk is full or fails.
//!
//! SQLite has one connection that writes, so it must never be left in an unknown state. It is rolled
//! back and, where even that fails, closed; the pool opens another (`tests/store/transactions.rs`).

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::error::StoreError;
use super::value::{statements, values};

statements! {
    /// Names a channel of PostgreSQL's notifications. SQLite has one node, which needs none.
    NOTIFY = "SELECT pg_notify($1, $2)";
    /// SQLite lets one writer in at a time and needs no locks.
    LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
}

/// A transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, holding the one writer.
    Sqlite(SqliteTx),
    /// On PostgreSQL.
    Postgres(PostgresTx),
}

/// A transaction on SQLite's one writing connection.
#[derive(Debug)]
pub struct SqliteTx {
    /// `None` once the transaction has ended.
    connection: Option<PoolConnection<Sqlite>>,
    /// Whether every statement so far has succeeded.
    is_sound: bool,
}

/// A transaction on one of PostgreSQL's connections.
#[derive(Debug)]
pub struct PostgresTx {
    transaction: Transaction<'static, Postgres>,
    /// Whether every statement so far has succeeded.
    is_sound: bool,
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
    /// A statement of it has failed: nothing of it happened. Or the database is unreachable: nothing of
    /// it happened, or all of it did.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

impl SqliteTx {
    /// Begins a transaction that holds the writer from the start, so that two writers queue up
    /// instead of failing half-way.
    pub(super) async fn begin(writer: &SqlitePool) -> Result<Self, StoreError> {
        let mut tx = Self { connection: Some(writer.acquire().await?), is_sound: true };
        tx.run("BEGIN IMMEDIATE").await?;
        Ok(tx)
    }

    /// The connection for one statement, whose result goes through [`SqliteTx::checked`].
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if !std::mem::replace(&mut self.is_sound, false) {
            return Err(has_failed());
        }
        self.connection.as_deref_mut().ok_or_else(has_failed)
    }

    /// Notes whether a statement has succeeded.
    pub(super) fn checked<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.is_sound = result.is_ok();
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
            if let Err(error) = end_transaction(&mut connection).await {
                tracing::warn!(%error, "a transaction could not be rolled back; its connection is closed");
                connection.close_on_drop();
            }
        });
    }
}

/// Rolls back the connection's transaction, if one is open. None is when the caller went away during
/// the commit: the connection must survive that, because a database in memory lives in it.
async fn end_transaction(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if sqlx::query("ROLLBACK").execute(&mut *connection).await.is_ok() {
        return Ok(());
    }
    // Only a connection without an open transaction can begin one.
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    sqlx::query("ROLLBACK").execute(connection).await.map(drop)
}

impl PostgresTx {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self { transaction: pool.begin().await?, is_sound: true })
    }

    /// The connection for one statement, whose result goes through [`PostgresTx::checked`].
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if !std::mem::replace(&mut self.is_sound, false) {
            return Err(has_failed());
        }
        Ok(&mut self.transaction)
    }

    /// Notes whether a statement has succeeded.
    pub(super) fn checked<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.is_sound = result.is_ok();
        Ok(result?)
    }

    async fn commit(self) -> Result<(), StoreError> {
        if !self.is_sound {
            return Err(has_failed());
        }
        Ok(self.transaction.commit().await?)
    }
}

fn has_failed() -> StoreError {
    sqlx::Error::Protocol("a statement of this transaction has failed".to_owned()).into()
}
