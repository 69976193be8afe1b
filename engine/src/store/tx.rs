//! Transactions.
//!
//! A transaction that is dropped without [`Tx::commit`] is rolled back. If one of its statements failed or was
//! abandoned halfway, it can only be rolled back: PostgreSQL would respond to its `COMMIT` with a rollback and
//! no error, and SQLite ends a transaction on its own when the disk is full or fails.
//!
//! SQLite has one write connection, so it must never be left in an unknown state. It is rolled back and,
//! if even that fails, closed; the pool opens another (`tests/store/transactions.rs`).

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::error::StoreError;
use super::sqlite_files::{Misplaced, OpenFiles};
use super::value::{statements, values};

statements! {
    /// Sends a PostgreSQL notification. SQLite has one node, which needs none.
    NOTIFY = "SELECT pg_notify($1, $2)";
    /// Takes an advisory lock. SQLite has one writer at a time and needs none.
    LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
}

/// When a commit is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it returns.
    Immediate,
    /// With the next commit that is [`Durability::Immediate`], or soon: a crash of the machine may lose it, whole.
    Eventual,
}

/// A transaction. If dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, holding the only write connection.
    Sqlite(SqliteTx),
    /// On PostgreSQL.
    Postgres(PostgresTx),
}

/// A transaction on SQLite's only write connection.
#[derive(Debug)]
pub struct SqliteTx {
    /// `None` once the transaction has ended.
    connection: Option<PoolConnection<Sqlite>>,
    /// `None` in memory.
    files: Option<Arc<OpenFiles>>,
    /// Whether every statement so far has succeeded.
    is_sound: bool,
}

/// A transaction on a PostgreSQL connection.
#[derive(Debug)]
pub struct PostgresTx {
    transaction: Transaction<'static, Postgres>,
    /// Whether every statement so far has succeeded.
    is_sound: bool,
}

impl Tx {
    /// Takes a named lock until this transaction ends: for decisions that depend on a row that does not
    /// exist yet, and so cannot be locked itself.
    pub async fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            self.execute(LOCK, values![name]).await?;
        }
        Ok(())
    }

    /// Notifies other nodes when this transaction commits.
    pub async fn notify(&mut self, channel: &str, payload: &str) -> Result<(), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            self.execute(NOTIFY, values![channel, payload]).await?;
        }
        Ok(())
    }

    /// Makes the transaction visible and durable.
    ///
    /// # Errors
    /// If one of its statements failed, it is rolled back. If the connection is lost, it may or may not have
    /// been committed.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

impl SqliteTx {
    /// Begins a transaction that holds the writer from the start, so that two writers queue up
    /// instead of failing halfway.
    pub(super) async fn begin(
        writer: &SqlitePool,
        files: Option<Arc<OpenFiles>>,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let mut connection = writer.acquire().await?;
        check_files(&mut connection, files.as_deref()).await?;
        let mut tx = Self { connection: Some(connection), files, is_sound: true };
        let synchronous = match durability {
            Durability::Immediate => "PRAGMA synchronous = FULL",
            Durability::Eventual => "PRAGMA synchronous = NORMAL",
        };
        // Not prepared: SQLite sets it while it compiles the statement. Every transaction sets its own, so that
        // none depends on how the one before ended.
        let set = tx.connection()?.execute(sqlx::raw_sql(synchronous)).await;
        tx.checked(set)?;
        tx.run("BEGIN IMMEDIATE").await?;
        Ok(tx)
    }

    /// Returns the connection for one statement, whose result goes through [`SqliteTx::checked`].
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if !std::mem::replace(&mut self.is_sound, false) {
            return Err(has_failed());
        }
        self.connection.as_deref_mut().ok_or_else(has_failed)
    }

    /// Records whether a statement has succeeded.
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
        let is_durable = match self.files.as_deref().and_then(OpenFiles::misplaced) {
            None => Ok(()),
            Some(Misplaced::Wal) => save_wal(self.connection()?).await,
            Some(Misplaced::Database) => Err(StoreError::Misplaced),
        };
        self.connection = None;
        is_durable
    }
}

/// Returns an error if a file of the database was deleted or replaced while it is open. What a deleted WAL
/// holds is saved first: it was acknowledged.
pub(super) async fn check_files(
    connection: &mut SqliteConnection,
    files: Option<&OpenFiles>,
) -> Result<(), StoreError> {
    let Some(misplaced) = files.and_then(OpenFiles::misplaced) else { return Ok(()) };
    if misplaced == Misplaced::Wal {
        save_wal(connection).await?;
    }
    Err(StoreError::Misplaced)
}

/// Copies a deleted WAL, which ends with this process, into the database.
async fn save_wal(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let (busy, ..): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(FULL)").fetch_one(connection).await?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Misplaced) }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Without a runtime the program is exiting, and the connection closes with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = end_transaction(&mut connection).await {
                tracing::warn!(%error, "cannot roll back a transaction; closing its connection");
                connection.close_on_drop();
            }
        });
    }
}

/// Rolls back the connection's transaction, if one is open. None is open if the caller was canceled
/// during the commit: the connection must survive that, because an in-memory database lives in it.
async fn end_transaction(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if sqlx::query("ROLLBACK").execute(&mut *connection).await.is_ok() {
        return Ok(());
    }
    // `BEGIN` succeeds only if no transaction is open.
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    sqlx::query("ROLLBACK").execute(connection).await.map(drop)
}

impl PostgresTx {
    pub(super) async fn begin(pool: &PgPool, durability: Durability) -> Result<Self, StoreError> {
        let begin = match durability {
            Durability::Immediate => "BEGIN",
            Durability::Eventual => "BEGIN; SET LOCAL synchronous_commit = off",
        };
        Ok(Self { transaction: pool.begin_with(begin).await?, is_sound: true })
    }

    /// Returns the connection for one statement, whose result goes through [`PostgresTx::checked`].
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if !std::mem::replace(&mut self.is_sound, false) {
            return Err(has_failed());
        }
        Ok(&mut self.transaction)
    }

    /// Records whether a statement has succeeded.
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
