//! Connections to either database.
//!
//! SQLite has one writer: its write pool holds one connection, and every transaction on it uses
//! `BEGIN IMMEDIATE`, so that two writers queue up instead of failing halfway. Readers have their own pool
//! (WAL). A commit returns after the fsync (`synchronous=FULL`).

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor, PgPool, SqlSafeStr, SqlitePool};

use super::error::StoreError;
use super::sqlite_files::{OpenFiles, create_folder_of, make_private, path_of, sidecar};
use super::tx::{Durability, PostgresTx, SqliteTx, Tx, check_files};
use super::value::statements;
use crate::settings::DatabaseUrl;

/// The number of prepared statements cached per connection: more than exist.
const STATEMENT_CACHE: usize = 512;

/// The page cache of SQLite's writer, in KiB in SQLite's notation: it holds the upper levels of every
/// index, so that a write into millions of rows reads very little.
const WRITER_CACHE: &str = "-65536";
/// The page cache of each reader.
const READER_CACHE: &str = "-8192";

/// PostgreSQL plans a prepared statement once per connection, and a plan made while a table was
/// small would scan all of it forever. Every statement here has its index. With sequential scans
/// disabled, a plan that needs one looks very expensive, which must not trigger JIT compilation
/// (docs/decisions/0010).
const USE_INDEXES: &str = "SET enable_seqscan = off; SET jit = off";

// PostgreSQL only.
statements! {
    LOCK_SCHEMAS = "SELECT pg_advisory_xact_lock(hashtextextended('create_schema', 0))";
    SCHEMA = "SELECT nspname FROM pg_namespace WHERE nspname = $1";
}

/// A connected database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// One file on this machine.
    Sqlite(SqlitePools),
    /// A server shared by several nodes.
    Postgres(PgPool),
}

/// SQLite's one writer and many readers.
#[derive(Clone, Debug)]
pub struct SqlitePools {
    readers: SqlitePool,
    writer: SqlitePool,
    /// `None` in memory.
    files: Option<Arc<OpenFiles>>,
}

impl SqlitePools {
    pub(super) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    pub(super) const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Returns the path of a file next to the database, which is the same for every path of the database; `None` in
    /// memory.
    pub(crate) fn sidecar(&self, suffix: &str) -> Option<PathBuf> {
        let database = self.files.as_deref()?.database();
        Some(sidecar(&database.canonicalize().unwrap_or_else(|_| database.to_owned()), suffix))
    }

    /// Reads a number that changes when another process writes to the file.
    pub(crate) async fn data_version(&self) -> Result<i64, StoreError> {
        // Read on the writing connection, whose own writes do not count.
        let mut connection = self.writer.acquire().await?;
        check_files(&mut connection, self.files.as_deref()).await?;
        Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?)
    }
}

impl Db {
    /// Connects; creates the SQLite file and its folder if they do not exist. Does not migrate.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(url) => connect_sqlite(url).await,
            DatabaseUrl::Postgres { url, schema } => connect_postgres(url.expose_secret(), schema.as_deref()).await,
        }
    }

    /// Begins a write transaction, whose commit returns once it is durable.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_with(Durability::Immediate).await
    }

    /// Begins a write transaction.
    pub(crate) async fn begin_with(&self, durability: Durability) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => Tx::Sqlite(SqliteTx::begin(&pools.writer, pools.files.clone(), durability).await?),
            Self::Postgres(pool) => Tx::Postgres(PostgresTx::begin(pool, durability).await?),
        })
    }

    /// Returns the PostgreSQL pool, if that is the database.
    pub const fn postgres_pool(&self) -> Option<&PgPool> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(pool) => Some(pool),
        }
    }

    /// Returns whether other nodes may share this database.
    pub const fn is_shared(&self) -> bool {
        self.postgres_pool().is_some()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.readers.close().await;
                pools.writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Prepares a statement without running it, to check it.
    pub async fn prepare(&self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => drop((&pools.writer).prepare(sql.into_sql_str()).await?),
            Self::Postgres(pool) => drop(pool.prepare(sql.into_sql_str()).await?),
        }
        Ok(())
    }
}

async fn connect_postgres(url: &str, schema: Option<&str>) -> Result<Db, StoreError> {
    let mut options = PgConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENT_CACHE);
    if let Some(schema) = schema {
        options = options.options([("search_path", quoted(schema))]);
    }
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(5))
        .after_connect(|connection, _| Box::pin(async { connection.execute(USE_INDEXES).await.map(drop) }))
        .connect_with(options)
        .await?;
    if let Some(schema) = schema {
        create_schema(&pool, schema).await?;
    }
    Ok(Db::Postgres(pool))
}

/// Creates the schema if it does not exist; if it does, no permission is needed. `IF NOT EXISTS` alone
/// fails for one of two nodes that start at the same time.
async fn create_schema(pool: &PgPool, schema: &str) -> Result<(), StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query(LOCK_SCHEMAS).execute(&mut *tx).await?;
    if sqlx::query(SCHEMA).bind(schema).fetch_optional(&mut *tx).await?.is_none() {
        // Settings admit only letters, digits and underscores.
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {}", quoted(schema)));
        sqlx::query(create).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Quotes a name, which may be an SQL keyword such as `user`.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

async fn connect_sqlite(url: &str) -> Result<Db, StoreError> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENT_CACHE)
        // A checkpoint costs two fsyncs: make checkpoints rarer, at 32 MB each.
        .pragma("wal_autocheckpoint", "8192")
        .busy_timeout(Duration::from_secs(5));
    let path = path_of(url)?;
    if let Some(path) = &path {
        create_folder_of(path).and_then(|()| make_private(path)).map_err(sqlx::Error::Io)?;
    }
    let pool = |connections, cache: &'static str| {
        let options = options.clone().pragma("cache_size", cache);
        SqlitePoolOptions::new()
            .max_connections(connections)
            // Opens all connections at the start: later there may be no file descriptor left.
            .min_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            // A file does not disconnect, and a caller canceled during the test would close the connection.
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
    };
    let writer = pool(1, WRITER_CACHE).await?;
    // An in-memory database lives in its connection: one connection must serve both pools.
    let Some(path) = path else { return Ok(Db::Sqlite(SqlitePools { readers: writer.clone(), writer, files: None })) };
    let readers = pool(8, READER_CACHE).await?;
    // The WAL exists once something was read.
    sqlx::query("SELECT COUNT(*) FROM sqlite_master").execute(&writer).await?;
    let files = OpenFiles::of(&path).map_err(sqlx::Error::Io)?;
    Ok(Db::Sqlite(SqlitePools { readers, writer, files: Some(Arc::new(files)) }))
}
