//! Accounts: the owners of plans, usage and the ledger.
//!
//! The id is the host's own; the contact address is stored here, so that the engine never refers to a
//! table of users.

use std::collections::BTreeSet;

use billing::email::Email;
use billing::{AccountId, Timestamp};

use super::list::{ListQuery, list};
use super::{Cursor, Db, StoreError, Tx, columns, statements, values};

/// Accounts with their current customer, one row each.
macro_rules! account_rows {
    ($condition:literal) => {
        concat!(
            "SELECT a.id, a.email, c.id AS customer_id, a.created_at, a.closed_at FROM account a \
            LEFT JOIN customer c ON c.account_id = a.id AND NOT c.is_deleted ",
            $condition
        )
    };
}

/// Accounts with such a subscription, newest first. There are few, so they are found first: a planner that started
/// with the newest accounts would read all of them.
macro_rules! with_payment {
    ($flag:literal) => {
        concat!(
            "WITH flagged AS MATERIALIZED (SELECT DISTINCT s.account_id FROM subscription s WHERE s.",
            $flag,
            ") SELECT a.id, a.email, c.id AS customer_id, a.created_at, a.closed_at FROM flagged f \
            JOIN account a ON a.id = f.account_id LEFT JOIN customer c ON c.account_id = a.id AND NOT c.is_deleted \
            WHERE ($4 = '' OR (a.email_lower >= $4 AND a.email_lower < $5) OR a.id = $6 OR c.id = $6) \
            AND (a.created_at, a.id) < ($1, $2) ORDER BY a.created_at DESC, a.id DESC LIMIT $3"
        )
    };
}

/// Finds the accounts with these ids, and the owners of customers with these ids.
macro_rules! owners {
    ($listed:literal, $lock:literal) => {
        concat!(
            "SELECT id FROM account WHERE id IN (",
            $listed,
            " UNION SELECT account_id FROM customer WHERE id IN (",
            $listed,
            ")) ORDER BY id",
            $lock
        )
    };
}

/// PostgreSQL locks the rows in their order. The lock is the one that an `UPDATE` takes, so new rows may still
/// refer to the account.
const LOCK_OWNERS: ListQuery = ListQuery {
    sqlite: owners!("SELECT value FROM json_each($1)", ""),
    postgres: owners!("SELECT jsonb_array_elements_text(CAST($1 AS jsonb))", " FOR NO KEY UPDATE"),
};

pub(super) const LISTS: &[(&str, ListQuery)] = &[("LOCK_OWNERS", LOCK_OWNERS)];

statements! {
    INSERT = "INSERT INTO account (id, email, email_lower, email_canonical, name, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (id) DO NOTHING";
    SET_CONTACT = "UPDATE account SET email = $2, email_lower = $3, email_canonical = $4, name = $5 \
        WHERE id = $1 AND closed_at IS NULL";
    CONTACT = "SELECT email, email_canonical, name, closed_at FROM account WHERE id = $1";
    LIST = account_rows!("WHERE (a.created_at, a.id) < ($1, $2) ORDER BY a.created_at DESC, a.id DESC LIMIT $3");
    WITH_PREFIX = account_rows!("WHERE a.email_lower >= $1 AND a.email_lower < $2 AND (a.email_lower, a.id) > ($3, $4) \
        ORDER BY a.email_lower, a.id LIMIT $5");
    DISPUTED = with_payment!("is_disputed");
    REVERSED = with_payment!("is_reversed");
    BY_CUSTOMER = account_rows!("WHERE a.id = (SELECT o.account_id FROM customer o WHERE o.id = $1)");
    BY_ID = account_rows!("WHERE a.id = $1");
    EXISTS = "SELECT id FROM account WHERE id = $1";
    LOCK = "UPDATE account SET changes = changes WHERE id = $1 AND closed_at IS NULL";
    NEXT_CHANGE = "UPDATE account SET changes = changes + 1 WHERE id = $1 RETURNING changes";
    CLOSE = "UPDATE account SET closed_at = $2, email = 'closed', email_lower = 'closed', email_canonical = 'closed', name = NULL \
        WHERE id = $1";
}

/// An account in a list.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// The host's id.
    pub id: String,
    /// The contact address; the text `closed` once the account is closed.
    pub email: String,
    /// The id of its current customer in Stripe; `None` if it has none.
    pub customer_id: Option<String>,
    /// Epoch seconds.
    pub created_at: i64,
    /// Epoch seconds.
    pub closed_at: Option<i64>,
}

columns!(AccountRow { id, email, customer_id, created_at, closed_at });

/// An account's contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address as entered.
    pub email: String,
    /// The address by which trials are counted: [`Email::canonical`].
    pub email_canonical: String,
    /// The name on invoices.
    pub name: Option<String>,
    /// Epoch seconds; set once the account is closed.
    pub closed_at: Option<i64>,
}

columns!(Contact { email, email_canonical, name, closed_at });

/// Creates the account; `false` if it exists.
pub async fn insert(
    tx: &mut Tx,
    id: &AccountId,
    email: &Email,
    name: Option<&str>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let values = values![id.as_str(), email.as_str(), email.login_key(), email.canonical(), name, at.0];
    Ok(tx.execute(INSERT, values).await? > 0)
}

/// Changes the contact address and name of an account that is not closed.
pub async fn set_contact(tx: &mut Tx, id: &AccountId, email: &Email, name: Option<&str>) -> Result<(), StoreError> {
    let values = values![id.as_str(), email.as_str(), email.login_key(), email.canonical(), name];
    tx.execute(SET_CONTACT, values).await.map(drop)
}

/// Returns the account's contact; `None` for an account that does not exist.
pub async fn contact(db: &Db, id: &AccountId) -> Result<Option<Contact>, StoreError> {
    db.fetch_optional(CONTACT, values![id.as_str()]).await
}

/// Does the same inside a transaction.
pub async fn contact_in(tx: &mut Tx, id: &AccountId) -> Result<Option<Contact>, StoreError> {
    tx.fetch_optional(CONTACT, values![id.as_str()]).await
}

/// Returns whether the account exists, closed or not. If it does not, it cannot be created until this
/// transaction ends.
pub async fn exists(tx: &mut Tx, id: &AccountId) -> Result<bool, StoreError> {
    if tx.fetch_optional::<(String,)>(EXISTS, values![id.as_str()]).await?.is_some() {
        return Ok(true);
    }
    tx.lock(id.as_str()).await?;
    Ok(tx.fetch_optional::<(String,)>(EXISTS, values![id.as_str()]).await?.is_some())
}

/// The filter of a list of accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only those whose address begins with this text, or whose id or Stripe customer id equals it; all if it
    /// is empty.
    pub text: String,
    /// Only those with a subscription of which a payment was taken back like this.
    pub payment: Option<PaymentFilter>,
}

/// What happened to a payment of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentFilter {
    /// It is disputed.
    Disputed,
    /// It was for the current period, and was lost in a dispute or refunded in full.
    LostOrRefunded,
}

impl PaymentFilter {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Disputed, Self::LostOrRefunded];

    /// Returns the text in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disputed => "disputed",
            Self::LostOrRefunded => "lost_or_refunded",
        }
    }

    /// Reads the text in an address.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|payment| payment.as_str() == text)
    }
}

/// Finds the accounts that match a filter, newest first; those that a text finds by their addresses, by address.
pub async fn search(
    db: &Db,
    filter: &AccountFilter,
    after: &Cursor,
    limit: i64,
) -> Result<Vec<AccountRow>, StoreError> {
    let text = filter.text.trim();
    let (at, key) = (after.at.0, after.key.as_str());
    // Sorted by bytes, every address that begins with the text is less than the text with the last character.
    let prefix = text.to_lowercase();
    let end = format!("{prefix}\u{10ffff}");
    if let Some(payment) = filter.payment {
        let statement = match payment {
            PaymentFilter::Disputed => DISPUTED,
            PaymentFilter::LostOrRefunded => REVERSED,
        };
        return db.fetch_all(statement, values![at, key, limit, prefix, end, text]).await;
    }
    if text.is_empty() {
        return db.fetch_all(LIST, values![at, key, limit]).await;
    }
    for exact in [BY_ID, BY_CUSTOMER] {
        if let Some(account) = db.fetch_optional(exact, values![text]).await? {
            return Ok(vec![account]);
        }
    }
    let (address, id) =
        key.split_once(' ').filter(|(address, _)| address.starts_with(&prefix)).unwrap_or((&prefix, ""));
    db.fetch_all(WITH_PREFIX, values![prefix.as_str(), end, address, id, limit]).await
}

/// Returns the cursor of the page after this account, in a list with this filter.
pub fn cursor(filter: &AccountFilter, account: &AccountRow) -> Cursor {
    let at = Timestamp(account.created_at);
    if filter.text.trim().is_empty() || filter.payment.is_some() {
        return Cursor { at, key: account.id.clone() };
    }
    // No address contains a space.
    Cursor { at, key: format!("{} {}", account.email.to_lowercase(), account.id) }
}

/// Finds an account, closed or not.
pub async fn by_id(db: &Db, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
    db.fetch_optional(BY_ID, values![id.as_str()]).await
}

/// Locks the account until this transaction ends. `false` if the account is closed or does not exist;
/// then nothing is locked.
pub async fn lock(tx: &mut Tx, id: &AccountId) -> Result<bool, StoreError> {
    Ok(tx.execute(LOCK, values![id.as_str()]).await? > 0)
}

/// Locks the accounts with one of these ids, and the owners of the customers with one of them, until this
/// transaction ends; returns their ids. A transaction that writes what belongs to accounts calls this first:
/// locks taken in the order of the ids never wait for each other.
pub async fn lock_owners(tx: &mut Tx, ids: &BTreeSet<&str>) -> Result<BTreeSet<AccountId>, StoreError> {
    let ids: Vec<&str> = ids.iter().copied().collect();
    let statement = LOCK_OWNERS.within(tx);
    let rows = tx.fetch_all::<(String,)>(statement, values![list(&ids)]).await?;
    Ok(rows.into_iter().map(|(id,)| AccountId::new(id)).collect())
}

/// Takes the number of the account's next billing change, starting at 1 and in commit order.
pub async fn next_change(tx: &mut Tx, id: &AccountId) -> Result<i64, StoreError> {
    Ok(tx.fetch_one::<(i64,)>(NEXT_CHANGE, values![id.as_str()]).await?.0)
}

/// Closes an account permanently. The row stays, because the ledger refers to it.
pub async fn close(tx: &mut Tx, id: &AccountId, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(CLOSE, values![id.as_str(), at.0]).await.map(drop)
}
