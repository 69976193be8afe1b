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
pub mod customers;
pub mod db;
pub mod drift;
pub mod group_commit;
pub mod inbox;
pub mod invoices;
pub mod log;
mod many_rows;
pub mod meter_events;
pub mod notices;
pub mod payments;
pub mod purchases;
pub mod subscriptions;
pub mod usage;
pub mod workspace;

use billing::{AccountId, Currency, Money, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use db::{Db, StoreError, Tx};
pub use group_commit::GroupCommit;

/// Every statement that is the same on both engines, by name.
pub fn statements() -> Vec<(&'static str, &'static str)> {
    [
        accounts::STATEMENTS,
        checkouts::STATEMENTS,
        credits::STATEMENTS,
        customers::STATEMENTS,
        db::STATEMENTS,
        drift::STATEMENTS,
        inbox::STATEMENTS,
        invoices::STATEMENTS,
        meter_events::STATEMENTS,
        notices::STATEMENTS,
        payments::STATEMENTS,
        purchases::STATEMENTS,
        subscriptions::STATEMENTS,
        usage::STATEMENTS,
        workspace::STATEMENTS,
    ]
    .concat()
}

/// Every statement of many rows, by name, as an engine is given it.
pub fn statements_of_many_rows(db: &Db) -> Vec<(&'static str, &'static str)> {
    [inbox::many(), usage::many(db)].concat().into_iter().flat_map(|many| many.forms(db)).collect()
}

/// One of Stripe's objects as it is written down. Every write counts its version up; whoever
/// writes next must have seen the last one, because of two who asked Stripe at once the one with
/// the older answer must not write last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// As of the last write.
    pub object: T,
    /// Whose it is here.
    pub account: AccountId,
    /// How many writes there were.
    pub version: i64,
}

/// Where a page of a list begins: after the row with this time and key, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The row's time.
    pub at: Timestamp,
    /// The row's key.
    pub key: String,
}

impl After {
    /// Before the newest row.
    pub const fn start() -> Self {
        Self { at: Timestamp(i64::MAX), key: String::new() }
    }
}

/// A row that cannot be read or written, by its table and key.
#[derive(Clone, Copy)]
struct At<'a> {
    table: &'static str,
    row: &'a str,
}

impl At<'_> {
    fn bad(self, column: &'static str, what: &impl ToString) -> StoreError {
        StoreError::BadRow { table: self.table, row: self.row.to_owned(), column, what: what.to_string() }
    }

    fn read<T: DeserializeOwned>(self, column: &'static str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|error| self.bad(column, &error))
    }

    fn json<T: Serialize>(self, column: &'static str, value: &T) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| self.bad(column, &error))
    }

    fn money(self, minor: i64, currency: &str) -> Result<Money, StoreError> {
        let currency = Currency::parse(currency).map_err(|error| self.bad("currency", &error))?;
        Ok(Money::new(minor, currency))
    }
}
