//! Engines, connections, transactions, migrations.
//!
//! SQLite has one writer: its pool for writing holds one connection and every
//! transaction on it begins immediate, so that two writers queue up instead of
//! failing half-way. Readers have a pool of their own (WAL). A commit is told of when
//! it is durable, and holds up no other until then ([`super::log`]).

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::log::{Log, Written};
use crate::config::DatabaseUrl;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS_KEPT: usize = 512;

/// What SQLite's one writer keeps of the file in memory, in KiB: the upper levels of every index, so
/// that a write into millions of rows reads next to nothing.
const WRITER_CACHE: &str = "-65536";
/// What each of its readers keeps.
const READER_CACHE: &str = "-8192";

/// PostgreSQL's alone. A statement's plan is made once for each connection, and one that was made while
/// a table was small would read all of it for ever after. Every statement here has its index. What has
/// none is thought very dear then, and must not be compiled for that.
const USE_INDEXES: &str = "SET enable_seqscan = off; SET jit = off";

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what no version of this program wrote.
    #[error("bad row: table `{table}`, row `{row}`, column `{column}`: {what}")]
    BadRow {
        /// Which table.
        table: &'static str,
        /// Which row, by its key.
        row: String,
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The commit that was shared with others failed.
    #[error(transparent)]
    Shared(Arc<StoreError>),
}

impl StoreError {
    /// Whether the database found fault with what was written, so that less of it may pass: not
    /// whether it is busy, full, broken or going away.
    pub(crate) fn is_about_what_was_written(&self) -> bool {
        /// SQLite: busy, locked, out of memory, read-only, interrupted, i/o, corrupt, full, cannot open.
        const SQLITE: [u32; 9] = [5, 6, 7, 8, 9, 10, 11, 13, 14];
        /// PostgreSQL's classes: connection, transaction (read-only, say), resources, operator, system, internal.
        const POSTGRES: [&str; 6] = ["08", "25", "53", "57", "58", "XX"];
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        let code = error.code().unwrap_or_default();
        match error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            Some(_) => !POSTGRES.iter().any(|class| code.starts_with(class)),
            // The lowest byte is the kind, those above say more about it.
            None => !code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff))),
        }
    }
}

/// A connected database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// The embedded default.
    Sqlite(SqlitePools),
    /// For many nodes.
    Postgres(PostgresPool),
}

/// SQLite's one writer and many readers.
#[derive(Clone, Debug)]
pub struct SqlitePools {
    read: SqlitePool,
    write: SqlitePool,
    log: Log,
}

impl SqlitePools {
    pub(crate) const fn conn(&self) -> &SqlitePool {
        &self.read
    }

    /// A number that changes when another program has written to the file. PostgreSQL has
    /// notifications for that.
    pub(crate) async fn writes_of_others(&self) -> Result<i64, StoreError> {
        // Asked on the connection that writes: its own writes do not count.
        Ok(sqlx::query_scalar(DATA_VERSION).fetch_one(&self.write).await?)
    }
}

/// PostgreSQL's connections.
#[derive(Clone, Debug)]
pub struct PostgresPool(PgPool);

impl PostgresPool {
    pub(crate) const fn conn(&self) -> &PgPool {
        &self.0
    }
}

/// A transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, holding the one writer.
    Sqlite(SqliteTx),
    /// On PostgreSQL.
    Postgres(PostgresTx),
}

/// See [`Tx::Sqlite`].
#[derive(Debug)]
pub struct SqliteTx(Transaction<'static, Sqlite>, Log);

impl SqliteTx {
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// See [`Tx::Postgres`].
#[derive(Debug)]
pub struct PostgresTx(Transaction<'static, Postgres>);

impl PostgresTx {
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// Declares statements as constants and lists them in `STATEMENTS`.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        /// Every statement of this file, by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// Runs one statement on either engine: `query!(Db: db, fetch_all as Row, SQL, bind, bind)`,
/// `query!(Tx: tx, execute, SQL, bind)`. The first word says which enum is matched on.
macro_rules! query {
    ($kind:ident: $on:expr, execute, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $on {
            $crate::store::db::$kind::Sqlite(on) =>
                sqlx::query($sql)$(.bind($bind))*.execute(on.conn()).await.map(|done| done.rows_affected()),
            $crate::store::db::$kind::Postgres(on) =>
                sqlx::query($sql)$(.bind($bind))*.execute(on.conn()).await.map(|done| done.rows_affected()),
        }
        .map_err($crate::store::db::StoreError::from)
    };
    ($kind:ident: $on:expr, $fetch:ident as $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $on {
            $crate::store::db::$kind::Sqlite(on) =>
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.$fetch(on.conn()).await,
            $crate::store::db::$kind::Postgres(on) =>
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.$fetch(on.conn()).await,
        }
        .map_err($crate::store::db::StoreError::from)
    };
}

pub(crate) use {query, statements};

statements! {
    PING = "SELECT 1";
    MIGRATIONS_APPLIED = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success";
}

impl Db {
    /// Connects; creates the SQLite file and its folder when they are not there. Does not migrate.
    ///
    /// # Errors
    /// The address is malformed, or nothing answers there.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(url) => connect_sqlite(url).await,
            DatabaseUrl::Postgres(url) => {
                let options =
                    PgConnectOptions::from_str(url.expose_secret())?.statement_cache_capacity(STATEMENTS_KEPT);
                let pool = PgPoolOptions::new()
                    .max_connections(16)
                    .acquire_timeout(Duration::from_secs(5))
                    .after_connect(|connection, _| Box::pin(async { connection.execute(USE_INDEXES).await.map(drop) }))
                    .connect_with(options)
                    .await?;
                Ok(Self::Postgres(PostgresPool(pool)))
            }
        }
    }

    /// Brings the tables up to date. Safe to run on several nodes at once.
    ///
    /// # Errors
    /// A migration failed, or one that was applied has been changed since.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => SQLITE_MIGRATIONS.run(&pools.write).await?,
            Self::Postgres(pool) => POSTGRES_MIGRATIONS.run(&pool.0).await?,
        }
        Ok(())
    }

    /// Whether the database answers and has every migration this program knows.
    ///
    /// # Errors
    /// It does not answer, or keeps nothing any more.
    pub async fn is_ready(&self) -> Result<bool, StoreError> {
        let known = match self {
            Self::Sqlite(pools) => {
                pools.log.is_sound()?;
                SQLITE_MIGRATIONS.iter().count()
            }
            Self::Postgres(_) => POSTGRES_MIGRATIONS.iter().count(),
        };
        let applied = match query!(Db: self, fetch_one as (i64,), MIGRATIONS_APPLIED) {
            Ok((applied,)) => applied,
            // No such table: it answers, and nothing was ever applied.
            Err(StoreError::Database(sqlx::Error::Database(_))) => 0,
            Err(error) => return Err(error),
        };
        Ok(usize::try_from(applied).is_ok_and(|applied| applied >= known))
    }

    /// Begins a transaction that will write.
    ///
    /// # Errors
    /// No connection was free in time, or the database is gone.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => {
                Tx::Sqlite(SqliteTx(pools.write.begin_with("BEGIN IMMEDIATE").await?, pools.log.clone()))
            }
            Self::Postgres(pool) => Tx::Postgres(PostgresTx(pool.0.begin().await?)),
        })
    }

    /// The pools of SQLite, reading and writing, for the session store.
    pub(crate) fn sqlite_pools(&self) -> Option<(SqlitePool, SqlitePool)> {
        match self {
            Self::Sqlite(pools) => Some((pools.read.clone(), pools.write.clone())),
            Self::Postgres(_) => None,
        }
    }

    /// All that has been committed by now, for whoever relies on it or has not committed it with a [`Tx`].
    pub(crate) fn so_far(&self) -> Written {
        match self {
            Self::Sqlite(pools) => pools.log.so_far(),
            Self::Postgres(_) => Written::durable_already(),
        }
    }

    /// The pool of PostgreSQL, for the session store and for notifications.
    pub fn postgres_pool(&self) -> Option<&PgPool> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(pool) => Some(&pool.0),
        }
    }

    /// Lets go of every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.read.close().await;
                pools.write.close().await;
            }
            Self::Postgres(pool) => pool.0.close().await,
        }
    }

    /// Prepares `sql` without running it.
    ///
    /// # Errors
    /// The engine does not accept it.
    pub async fn prepare(&self, sql: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => drop(pools.write.prepare(sql).await?),
            Self::Postgres(pool) => drop(pool.0.prepare(sql).await?),
        }
        Ok(())
    }
}

/// A statement about the members of a list, which is bound as one JSON text, in each engine's words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfList {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl OfList {
    /// The statement for this engine.
    pub(crate) const fn on(self, db: &Db) -> &'static str {
        match db {
            Db::Sqlite(_) => self.sqlite,
            Db::Postgres(_) => self.postgres,
        }
    }
}

/// The list as it is bound.
pub(crate) fn list(members: &[&str]) -> String {
    serde_json::Value::from(members).to_string()
}

/// An [`OfList`] out of what stands before the list and what stands after it.
macro_rules! of_list {
    ($before:literal, $after:literal) => {
        $crate::store::db::OfList {
            sqlite: concat!($before, " (SELECT value FROM json_each($1)) ", $after),
            postgres: concat!($before, " (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) ", $after),
        }
    };
}

pub(crate) use of_list;

/// SQLite's alone.
const DATA_VERSION: &str = "PRAGMA data_version";
/// PostgreSQL's alone: SQLite has one node, which needs no telling.
const NOTIFY: &str = "SELECT pg_notify($1, $2)";
/// PostgreSQL's alone: SQLite lets one writer in at a time.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

impl Tx {
    /// Makes every other transaction that locks the same name wait until this one ends. For what
    /// hangs on a row that is not there, which no row lock can hold.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            sqlx::query(LOCK).bind(name).execute(tx.conn()).await?;
        }
        Ok(())
    }

    /// Tells the other nodes, once this is committed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn notify(&mut self, channel: &str, payload: &str) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            sqlx::query(NOTIFY).bind(channel).bind(payload).execute(tx.conn()).await?;
        }
        Ok(())
    }

    /// Makes everything in it durable at once.
    ///
    /// # Errors
    /// The database is gone; then nothing of it happened, or all of it did.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.commit_ahead().await?.durable().await
    }

    /// Lets everybody see everything in it at once. Nobody may be told of it before it is durable.
    ///
    /// # Errors
    /// As [`Tx::commit`].
    pub async fn commit_ahead(self) -> Result<Written, StoreError> {
        Ok(match self {
            Self::Sqlite(SqliteTx(tx, log)) => {
                tx.commit().await?;
                log.so_far()
            }
            Self::Postgres(tx) => {
                tx.0.commit().await?;
                Written::durable_already()
            }
        })
    }
}

async fn connect_sqlite(url: &str) -> Result<Db, StoreError> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What makes a commit durable is the log, as `super::log` has it.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_KEPT)
        // Every checkpoint waits for the disk twice: fewer of them, of 32 MB each.
        .pragma("wal_autocheckpoint", "8192")
        .busy_timeout(Duration::from_secs(5));
    if let Some(folder) = options.get_filename().parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    // A database in memory lives in its connection: one connection must serve for both.
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let pool = |connections, cached: &'static str| {
        let options = options.clone().pragma("cache_size", cached);
        SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
    };
    let write = pool(1, WRITER_CACHE).await?;
    let read = if in_memory { write.clone() } else { pool(8, READER_CACHE).await? };
    // As SQLite does: its log stands beside the file that a link leads to.
    let file = if in_memory { None } else { Some(options.get_filename().canonicalize().map_err(sqlx::Error::Io)?) };
    let log = Log::new(file);
    Ok(Db::Sqlite(SqlitePools { read, write, log }))
}
