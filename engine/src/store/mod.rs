//! The database: one set of statements for SQLite and PostgreSQL.
//!
//! Each file holds one group of tables: its statements, its rows and its functions. A statement is
//! written once and must mean the same on both; a test prepares each of them on both, and the contract
//! tests run on both (`tests/store`). Functions that write take a [`Tx`], so that the caller decides
//! which writes share a transaction.

pub mod accounts;
mod batch;
pub mod billing_changes;
pub mod checkouts;
mod columns;
pub mod credits;
pub mod customers;
mod db;
pub mod drift;
mod error;
mod group_commit;
pub mod inbox;
pub mod invoices;
mod list;
pub mod meter_events;
mod migrations;
pub mod notices;
pub mod payments;
pub mod purchases;
mod row;
mod run;
mod schema;
mod server_lock;
mod sqlite_files;
pub mod stripe_account;
pub mod subscriptions;
pub mod trials;
mod tx;
pub mod unanswered;
pub mod unlinked_customers;
pub mod usage;
mod value;
mod version;
mod write_probe;

pub use columns::{columns, driver};
pub use db::{Db, SqlitePools};
pub use error::StoreError;
pub use group_commit::{Batch, BatchResult, GroupCommit};
pub use migrations::{MIGRATIONS, MigrationSet};
pub use row::{COUNTED, Cursor, Page, Stored, count_text};
pub use run::Row;
pub use schema::{all_batch_statements, all_statements};
pub use server_lock::{ServerLock, ServerLockError};
pub(crate) use tx::Durability;
pub use tx::Tx;
pub use value::{Value, statements, values};
pub use version::DatabaseVersion;
pub use write_probe::WriteProbe;
