//! Types shared by all rows: versions, pages and errors.

use billing::money::grouped;
use billing::{AccountId, Currency, Money, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

/// A stored Stripe object. Every write increments its version, and a writer must have read the latest
/// version: of two concurrent fetches, the one with the older response must not be written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The object as of the last write.
    pub object: T,
    /// The account that owns it.
    pub account: AccountId,
    /// The number of writes so far.
    pub version: i64,
}

/// The position of a page in a list: after the row with this time and key, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's time.
    pub at: Timestamp,
    /// The row's key.
    pub key: String,
}

impl Cursor {
    /// Returns the position before the newest row.
    pub const fn start() -> Self {
        Self { at: Timestamp(i64::MAX), key: String::new() }
    }
}

/// One page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows of this page, newest first.
    pub rows: Vec<T>,
    /// The position of the next page; `None` on the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Builds a page of `size` rows from up to `size + 1`: the extra one shows that there is another page.
    pub fn new(mut rows: Vec<T>, size: usize, cursor: impl Fn(&T) -> Cursor) -> Self {
        let has_more = rows.len() > size;
        rows.truncate(size);
        Self { next: rows.last().filter(|_| has_more).map(cursor), rows }
    }
}

/// The number up to which operators' overviews count rows, so that counting costs the same in a table of any size.
pub const COUNTED: i64 = 1000;

/// Returns the text of a count that stops after [`COUNTED`]: `1,000+` if there are more.
pub fn count_text(count: i64) -> String {
    let more = if count > COUNTED { "+" } else { "" };
    format!("{}{more}", grouped(count.min(COUNTED).unsigned_abs()))
}

/// Identifies a row in errors about its columns.
#[derive(Clone, Copy)]
pub(crate) struct RowRef<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
}

impl RowRef<'_> {
    pub(crate) fn corrupt(self, column: &'static str, problem: &impl ToString) -> StoreError {
        StoreError::CorruptRow { table: self.table, row: self.row.to_owned(), column, problem: problem.to_string() }
    }

    pub(crate) fn read_json<T: DeserializeOwned>(self, column: &'static str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|error| self.corrupt(column, &error))
    }

    pub(crate) fn to_json<T: Serialize>(self, column: &'static str, value: &T) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| self.corrupt(column, &error))
    }

    pub(crate) fn money(self, minor: i64, currency: &str) -> Result<Money, StoreError> {
        let currency = Currency::parse(currency).map_err(|error| self.corrupt("currency", &error))?;
        Ok(Money::new(minor, currency))
    }
}
