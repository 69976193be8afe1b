//! The database: one set of statements for SQLite and PostgreSQL.
//!
//! Each file holds one group of tables: its statements, its rows and its functions.
//! A statement is written once and must mean the same on both engines; a test
//! prepares every one of them on both, and the contract tests run on both
//! (`tests/store`). Functions that write take a [`Tx`], so that what belongs
//! together is committed together by whoever calls them.

pub mod accounts;
pub mod checkouts;
pub mod credits;
pub mod db;
pub mod inbox;
pub mod subscriptions;
pub mod usage;
pub mod workspace;

pub use db::{Db, StoreError, Tx};

/// Every statement, by name, for the test that prepares them all.
pub fn statements() -> Vec<(&'static str, &'static str)> {
    [
        accounts::STATEMENTS,
        checkouts::STATEMENTS,
        credits::STATEMENTS,
        db::STATEMENTS,
        inbox::STATEMENTS,
        subscriptions::STATEMENTS,
        usage::STATEMENTS,
        workspace::STATEMENTS,
    ]
    .concat()
}
