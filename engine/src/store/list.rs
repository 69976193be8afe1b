//! Statements with a list parameter, bound as one JSON text.

use super::db::Db;
use super::tx::Tx;

/// A statement with a list parameter, in each database's dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListQuery {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl ListQuery {
    /// Returns the statement for this database.
    pub(crate) const fn on(self, db: &Db) -> &'static str {
        match db {
            Db::Sqlite(_) => self.sqlite,
            Db::Postgres(_) => self.postgres,
        }
    }

    /// Returns the statement for this transaction's database.
    pub(crate) const fn within(self, tx: &Tx) -> &'static str {
        match tx {
            Tx::Sqlite(_) => self.sqlite,
            Tx::Postgres(_) => self.postgres,
        }
    }
}

/// Encodes a list for binding.
pub(crate) fn list(members: &[&str]) -> String {
    serde_json::Value::from(members).to_string()
}

/// Builds a [`ListQuery`] from the SQL before and after the list.
macro_rules! list_query {
    ($before:literal, $after:literal) => {
        $crate::store::list::ListQuery {
            sqlite: concat!($before, " (SELECT value FROM json_each($1)) ", $after),
            postgres: concat!($before, " (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) ", $after),
        }
    };
}

pub(crate) use list_query;
