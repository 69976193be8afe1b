//! Stripe customers and the accounts that own them. An account has one live customer at a time.

use std::collections::HashMap;

use billing::ledger::Customer;
use billing::{AccountId, CustomerId, Timestamp};

use super::list::{ListQuery, list, list_query};
use super::{Db, StoreError, Stored, Tx, columns, statements, values};

const OF_CLOSED: ListQuery = list_query!(
    "SELECT c.id, c.account_id FROM customer c JOIN account a ON a.id = c.account_id WHERE a.closed_at IS NOT NULL AND c.id IN",
    ""
);

/// The statements with a list parameter, by name.
pub(super) const LISTS: &[(&str, ListQuery)] = &[("OF_CLOSED", OF_CLOSED)];

statements! {
    OF_ACCOUNT = "SELECT id FROM customer WHERE account_id = $1 AND NOT is_deleted";
    COUNT_DELETED = "SELECT COUNT(*) FROM customer WHERE account_id = $1 AND is_deleted";
    OWNER = "SELECT account_id FROM customer WHERE id = $1";
    BY_ID = "SELECT id, account_id, email, name, is_deleted, version FROM customer WHERE id = $1";
    LINK = "INSERT INTO customer (id, account_id, is_deleted, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    UPDATE = "UPDATE customer SET email = $2, name = $3, is_deleted = $4, synced_at = $5, version = version + 1 \
        WHERE id = $1 AND version = $6";
    ERASE = "UPDATE customer SET email = NULL, name = NULL, to_erase = NOT is_deleted, version = version + 1 WHERE account_id = $1";
    TO_ERASE = "SELECT id FROM customer WHERE to_erase ORDER BY account_id, id";
    TO_ERASE_OF_ACCOUNT = "SELECT id FROM customer WHERE account_id = $1 AND to_erase ORDER BY id";
    ERASED = "UPDATE customer SET to_erase = FALSE WHERE id = $1";
}

struct CustomerRow {
    id: String,
    account_id: String,
    email: Option<String>,
    name: Option<String>,
    is_deleted: bool,
    version: i64,
}

columns!(CustomerRow { id, account_id, email, name, is_deleted, version });

/// Returns the live Stripe customer of an account.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Option<CustomerId>, StoreError> {
    let row = db.fetch_optional::<(String,)>(OF_ACCOUNT, values![account.as_str()]).await?;
    Ok(row.map(|(id,)| CustomerId::new(id)))
}

/// Filters `customers` to those of closed accounts, and returns them with the account.
pub async fn of_closed_accounts(db: &Db, customers: &[&str]) -> Result<HashMap<CustomerId, AccountId>, StoreError> {
    let rows = db.fetch_all::<(String, String)>(OF_CLOSED.on(db), values![list(customers)]).await?;
    Ok(rows.into_iter().map(|(customer, account)| (CustomerId::new(customer), AccountId::new(account))).collect())
}

/// Counts the account's customers that were deleted in Stripe.
pub async fn count_deleted(db: &Db, account: &AccountId) -> Result<i64, StoreError> {
    Ok(db.fetch_one::<(i64,)>(COUNT_DELETED, values![account.as_str()]).await?.0)
}

/// Returns the account that owns a Stripe customer, deleted or not. A customer without one cannot be linked
/// until this transaction ends: a transaction that records the absence must not miss a link.
pub async fn account_of(tx: &mut Tx, customer: &CustomerId) -> Result<Option<AccountId>, StoreError> {
    let account = owner(tx, customer).await?;
    if account.is_some() {
        return Ok(account);
    }
    tx.lock(customer.as_str()).await?;
    owner(tx, customer).await
}

async fn owner(tx: &mut Tx, customer: &CustomerId) -> Result<Option<AccountId>, StoreError> {
    let row = tx.fetch_optional::<(String,)>(OWNER, values![customer.as_str()]).await?;
    Ok(row.map(|(id,)| AccountId::new(id)))
}

/// Finds a customer.
pub async fn by_id(db: &Db, id: &CustomerId) -> Result<Option<Stored<Customer>>, StoreError> {
    let row = db.fetch_optional::<CustomerRow>(BY_ID, values![id.as_str()]).await?;
    Ok(row.map(|row| Stored {
        account: AccountId::new(row.account_id),
        version: row.version,
        object: Customer { id: CustomerId::new(row.id), email: row.email, name: row.name, is_deleted: row.is_deleted },
    }))
}

/// Links a Stripe customer to an account. `true` if the two are linked now, whichever request linked them;
/// `false` if either is linked to another. Customers deleted in Stripe do not count.
pub async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    is_deleted: bool,
    at: Timestamp,
) -> Result<bool, StoreError> {
    tx.lock(customer.as_str()).await?;
    if tx.execute(LINK, values![customer.as_str(), account.as_str(), is_deleted, at.0]).await? > 0 {
        return Ok(true);
    }
    Ok(owner(tx, customer).await?.is_some_and(|owner| owner == *account))
}

/// Writes a linked customer. `seen` is the version read before the request to Stripe. `false` if another
/// process wrote in between: fetch again.
pub async fn write(tx: &mut Tx, customer: &Customer, seen: i64, at: Timestamp) -> Result<bool, StoreError> {
    let values = values![
        customer.id.as_str(),
        customer.email.as_deref(),
        customer.name.as_deref(),
        customer.is_deleted,
        at.0,
        seen
    ];
    Ok(tx.execute(UPDATE, values).await? > 0)
}

/// Erases the names and contact details of the account's customers in the database. In Stripe they are erased
/// after the commit: see [`to_erase`].
pub async fn erase(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(ERASE, values![account.as_str()]).await.map(drop)
}

/// Returns the customers of closed accounts whose names and contact details Stripe still has.
pub async fn to_erase(db: &Db) -> Result<Vec<CustomerId>, StoreError> {
    Ok(ids(db.fetch_all(TO_ERASE, values![]).await?))
}

/// Does the same for one account.
pub async fn to_erase_of_account(db: &Db, account: &AccountId) -> Result<Vec<CustomerId>, StoreError> {
    Ok(ids(db.fetch_all(TO_ERASE_OF_ACCOUNT, values![account.as_str()]).await?))
}

fn ids(rows: Vec<(String,)>) -> Vec<CustomerId> {
    rows.into_iter().map(|(id,)| CustomerId::new(id)).collect()
}

/// Records that Stripe no longer has a customer's name and contact details.
pub async fn set_erased(tx: &mut Tx, customer: &CustomerId) -> Result<(), StoreError> {
    tx.execute(ERASED, values![customer.as_str()]).await.map(drop)
}
