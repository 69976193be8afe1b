//! A crate's tables, as an ordered set of migrations.
//!
//! A migration is written once and must mean the same on both databases. Several sets can share a
//! database: each has its own version range and ignores the versions of the others. It also ignores
//! versions applied by a newer program, so that an older one can keep running alongside it
//! (`tests/store/migrations.rs`).

use std::borrow::Cow;
use std::collections::HashSet;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::db::Db;
use super::error::StoreError;
use super::value::{statements, values};

statements! {
    APPLIED = "SELECT version FROM _sqlx_migrations WHERE success";
}

/// The migrations of one crate, oldest first: version, description and SQL.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet(pub &'static [(i64, &'static str, &'static str)]);

/// The engine's own tables: versions below 1000.
pub const MIGRATIONS: MigrationSet = MigrationSet(&[
    (1, "accounts", include_str!("../../../migrations/engine/0001_accounts.sql")),
    (2, "inbox", include_str!("../../../migrations/engine/0002_inbox.sql")),
    (3, "subscriptions", include_str!("../../../migrations/engine/0003_subscriptions.sql")),
    (4, "ledger", include_str!("../../../migrations/engine/0004_ledger.sql")),
    (5, "usage", include_str!("../../../migrations/engine/0005_usage.sql")),
    (6, "reconcile", include_str!("../../../migrations/engine/0006_reconcile.sql")),
    (7, "stripe", include_str!("../../../migrations/engine/0007_stripe.sql")),
    (8, "write_probe", include_str!("../../../migrations/engine/0008_write_probe.sql")),
]);

/// SQLite's name for comparing text by bytes, and PostgreSQL's: the only difference between their tables.
const BY_BYTES: (&str, &str) = ("COLLATE BINARY", "COLLATE \"C\"");

impl MigrationSet {
    fn migrator(self, is_postgres: bool) -> Migrator {
        let migrations = self.0.iter().map(|(version, description, sql)| {
            let description = Cow::Borrowed(*description);
            let sql = if is_postgres { sql.replace(BY_BYTES.0, BY_BYTES.1) } else { (*sql).to_owned() };
            let sql = AssertSqlSafe(sql).into_sql_str();
            Migration::new(*version, description, MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        migrator.set_ignore_missing(true);
        migrator
    }
}

impl Db {
    /// Applies the missing migrations of a set. Safe to run on several nodes at the same time.
    ///
    /// # Errors
    /// If a migration fails, or an applied one has since been changed.
    pub async fn migrate(&self, set: MigrationSet) -> Result<(), StoreError> {
        let migrator = set.migrator(self.is_shared());
        match self {
            Self::Sqlite(pools) => migrator.run(pools.writer()).await?,
            Self::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                let migrated = migrator.run_direct(None, &mut *connection, false).await;
                if migrated.is_err() {
                    // The connection still holds the lock that other nodes wait for.
                    connection.close_on_drop();
                }
                migrated?;
            }
        }
        Ok(())
    }

    /// Returns whether the database is reachable and has every migration of a set.
    pub async fn has_migrated(&self, set: MigrationSet) -> Result<bool, StoreError> {
        let applied = match self.fetch_all::<(i64,)>(APPLIED, values![]).await {
            Ok(applied) => applied,
            // The table does not exist: the database is reachable, and nothing was ever applied.
            Err(error) if error.is_caused_by_data() => Vec::new(),
            Err(error) => return Err(error),
        };
        let applied: HashSet<i64> = applied.into_iter().map(|(version,)| version).collect();
        Ok(set.0.iter().all(|(version, ..)| applied.contains(version)))
    }
}
