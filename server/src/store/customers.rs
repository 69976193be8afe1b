//! Stripe customers and whose they are. An account has one at a time.

use std::collections::HashMap;

use billing::ledger::Customer;
use billing::{AccountId, CustomerId, Timestamp};

use super::Stored;
use super::db::{Db, OfList, StoreError, Tx, list, of_list, query, statements};

const OF_CLOSED: OfList = of_list!(
    "SELECT c.id, c.account_id FROM customer c JOIN account a ON a.id = c.account_id WHERE a.closed_at IS NOT NULL AND c.id IN",
    ""
);

statements! {
    CUSTOMER_OF = "SELECT id FROM customer WHERE account_id = $1 AND NOT is_deleted";
    DELETED_CUSTOMERS = "SELECT COUNT(*) FROM customer WHERE account_id = $1 AND is_deleted";
    ACCOUNT_OF = "SELECT account_id FROM customer WHERE id = $1";
    CUSTOMER_BY_ID = "SELECT id, account_id, email, name, is_deleted, version FROM customer WHERE id = $1";
    LINK_CUSTOMER = "INSERT INTO customer (id, account_id, is_deleted, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    UPDATE_CUSTOMER = "UPDATE customer SET email = $2, name = $3, is_deleted = $4, synced_at = $5, version = version + 1 \
        WHERE id = $1 AND version = $6";
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    email: Option<String>,
    name: Option<String>,
    is_deleted: bool,
    version: i64,
}

/// The Stripe customer of an account, if it has one that was not deleted.
///
/// # Errors
/// The database failed.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Option<CustomerId>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), CUSTOMER_OF, account.as_str())?.map(|(id,)| CustomerId::new(id)))
}

/// Those of these customers whose account was closed, with the account.
///
/// # Errors
/// The database failed.
pub async fn of_closed_accounts(db: &Db, customers: &[&str]) -> Result<HashMap<CustomerId, AccountId>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, String), OF_CLOSED.on(db), list(customers))?;
    Ok(rows.into_iter().map(|(customer, account)| (CustomerId::new(customer), AccountId::new(account))).collect())
}

/// How many customers of the account were deleted at Stripe.
///
/// # Errors
/// The database failed.
pub async fn deleted(db: &Db, account: &AccountId) -> Result<i64, StoreError> {
    Ok(query!(Db: db, fetch_one as (i64,), DELETED_CUSTOMERS, account.as_str())?.0)
}

/// The account of a Stripe customer, deleted or not. A customer of nobody's stays nobody's until
/// the transaction ends: whoever writes that it is must not do so behind the back of a link that
/// is under way.
///
/// # Errors
/// The database failed.
pub async fn account_of(tx: &mut Tx, customer: &CustomerId) -> Result<Option<AccountId>, StoreError> {
    let account = partner(tx, customer).await?;
    if account.is_some() {
        return Ok(account);
    }
    tx.lock(customer.as_str()).await?;
    partner(tx, customer).await
}

async fn partner(tx: &mut Tx, customer: &CustomerId) -> Result<Option<AccountId>, StoreError> {
    Ok(query!(Tx: tx, fetch_optional as (String,), ACCOUNT_OF, customer.as_str())?.map(|(id,)| AccountId::new(id)))
}

/// One customer.
///
/// # Errors
/// The database failed.
pub async fn by_id(db: &Db, id: &CustomerId) -> Result<Option<Stored<Customer>>, StoreError> {
    let row = query!(Db: db, fetch_optional as Row, CUSTOMER_BY_ID, id.as_str())?;
    Ok(row.map(|row| Stored {
        account: AccountId::new(row.account_id),
        version: row.version,
        object: Customer { id: CustomerId::new(row.id), email: row.email, name: row.name, is_deleted: row.is_deleted },
    }))
}

/// Links a Stripe customer to an account. `true` when the two are partners now, whoever linked
/// them; `false` when either already has another partner. One that was deleted at Stripe is no
/// obstacle to another.
///
/// # Errors
/// The database failed.
pub async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    is_deleted: bool,
    at: Timestamp,
) -> Result<bool, StoreError> {
    tx.lock(customer.as_str()).await?;
    if query!(Tx: &mut *tx, execute, LINK_CUSTOMER, customer.as_str(), account.as_str(), is_deleted, at.0)? > 0 {
        return Ok(true);
    }
    Ok(partner(tx, customer).await?.is_some_and(|partner| partner == *account))
}

/// Writes a linked customer whole. `seen` is the version that was read before Stripe was asked.
/// `false`: somebody else wrote in between; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(tx: &mut Tx, customer: &Customer, seen: i64, at: Timestamp) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, UPDATE_CUSTOMER, customer.id.as_str(), customer.email.as_deref(), customer.name.as_deref(),
        customer.is_deleted, at.0, seen)
    .map(|written| written > 0)
}
