//! The store's error type.

use std::sync::Arc;

/// A database error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database rejected the statement or could not be reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds a value that no version of this program writes.
    #[error("corrupt row: table `{table}`, row `{row}`, column `{column}`: {problem}")]
    CorruptRow {
        /// The table that holds the row.
        table: &'static str,
        /// The row's key.
        row: String,
        /// The column that cannot be read.
        column: &'static str,
        /// The problem with its value.
        problem: String,
    },
    /// The group commit that included this request failed.
    #[error(transparent)]
    Shared(Arc<StoreError>),
    /// A file of the database was deleted or replaced while it was open. New writes would be lost
    /// when the process ends.
    #[error("a file of the database was deleted or replaced while the server runs: restart the server")]
    Misplaced,
    /// Too many writes are queued. This one was not and will not be written.
    #[error("the database is busy: too many writes are queued")]
    Busy,
}

impl StoreError {
    /// Returns whether the server has to be restarted to recover.
    pub fn needs_restart(&self) -> bool {
        match self {
            Self::Misplaced => true,
            Self::Shared(error) => error.needs_restart(),
            _ => false,
        }
    }

    /// Returns whether a row could not be read. Other rows may be readable.
    pub(crate) const fn is_unreadable(&self) -> bool {
        matches!(self, Self::CorruptRow { .. } | Self::Database(sqlx::Error::ColumnDecode { .. }))
    }

    /// Returns whether the cause is the data itself, rejected or unreadable, so that a smaller batch may
    /// succeed. `false` when the database is busy, full, broken or unreachable.
    pub(crate) fn is_caused_by_data(&self) -> bool {
        /// Primary result codes of SQLite: busy, locked, out of memory, read-only, interrupted, I/O
        /// error, corrupt, full, cannot open.
        const SQLITE: [u32; 9] = [5, 6, 7, 8, 9, 10, 11, 13, 14];
        /// SQLSTATE classes of PostgreSQL: connection, transaction state, resources, operator
        /// intervention, system error, internal error.
        const POSTGRES: [&str; 6] = ["08", "25", "53", "57", "58", "XX"];
        let error = match self {
            Self::Database(sqlx::Error::Database(error)) => error,
            unreadable => return unreadable.is_unreadable(),
        };
        let code = error.code().unwrap_or_default();
        match error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            Some(_) => !POSTGRES.iter().any(|class| code.starts_with(class)),
            // The lowest byte of an extended result code is the primary one.
            None => !code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff))),
        }
    }
}
