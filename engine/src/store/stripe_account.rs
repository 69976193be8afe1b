//! The Stripe account and mode that the stored objects belong to.

use billing::Timestamp;

use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    GET = "SELECT id, is_live FROM stripe_account";
    SET = "INSERT INTO stripe_account (singleton, id, is_live, stored_at) VALUES (1, $1, $2, $3) \
        ON CONFLICT (singleton) DO UPDATE SET id = excluded.id, is_live = excluded.is_live, stored_at = excluded.stored_at \
        WHERE NOT EXISTS (SELECT 1 FROM customer)";
}

/// A Stripe account in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeAccount {
    /// `acct_…`
    pub id: String,
    /// Whether its objects are those of live mode.
    pub is_live: bool,
}

columns!(StripeAccount { id, is_live });

/// Returns the account of the stored objects.
pub async fn get(db: &Db) -> Result<Option<StripeAccount>, StoreError> {
    db.fetch_optional(GET, values![]).await
}

/// Stores the account, unless a customer is already stored: then the account of the first customer stays.
pub async fn set(tx: &mut Tx, account: &StripeAccount, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(SET, values![account.id.as_str(), account.is_live, at.0]).await.map(drop)
}
