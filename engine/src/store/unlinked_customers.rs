//! Customers that reconciliation found to have no account, with the time of that check.

use billing::{CustomerId, Timestamp};

use super::{Db, StoreError, Tx, statements, values};

statements! {
    CHECKED_AFTER = "SELECT u.checked_at FROM unlinked_customer u WHERE u.customer_id = $1 AND u.checked_at > $2 \
        AND NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = u.customer_id)";
    CHECKED = "INSERT INTO unlinked_customer (customer_id, checked_at) VALUES ($1, $2) \
        ON CONFLICT (customer_id) DO UPDATE SET checked_at = excluded.checked_at";
    FORGET = "DELETE FROM unlinked_customer WHERE checked_at <= $1";
}

/// Returns whether a customer was found to have no account after this time, and was not linked since.
pub async fn was_checked_after(db: &Db, customer: &CustomerId, time: Timestamp) -> Result<bool, StoreError> {
    let row = db.fetch_optional::<(i64,)>(CHECKED_AFTER, values![customer.as_str(), time.0]).await?;
    Ok(row.is_some())
}

/// Records that a customer has no account.
pub async fn set_checked(tx: &mut Tx, customer: &CustomerId, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(CHECKED, values![customer.as_str(), at.0]).await.map(drop)
}

/// Forgets the checks up to this time.
pub async fn forget(tx: &mut Tx, until: Timestamp) -> Result<(), StoreError> {
    tx.execute(FORGET, values![until.0]).await.map(drop)
}
