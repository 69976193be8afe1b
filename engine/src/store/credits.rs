//! Credits: each purchase's current grant, and the balance of all grants.
//!
//! A grant and its balance change by the same amount in the same transaction, so that the balance is
//! always the sum of the grants and never has to be computed.

use billing::{AccountId, Meter, Timestamp};

use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    // A new grant starts at 0; an existing one is only locked. Both return the units granted so far.
    TAKE = "INSERT INTO credit_grant (source, account_id, meter, units, granted_at, changed_at) \
        VALUES ($1, $2, $3, 0, $4, $4) ON CONFLICT (source) DO UPDATE SET source = excluded.source \
        RETURNING account_id, meter, units";
    SET = "UPDATE credit_grant SET account_id = $2, meter = $3, units = $4, changed_at = $5 WHERE source = $1";
    MOVE_GRANTED = "INSERT INTO credit_balance (account_id, meter, granted, consumed) VALUES ($1, $2, $3, 0) \
        ON CONFLICT (account_id, meter) DO UPDATE SET granted = credit_balance.granted + excluded.granted";
    BALANCES = "SELECT account_id, meter, granted, consumed FROM credit_balance WHERE account_id = $1";
}

/// A purchase's grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The account that the units are for.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// The number of units.
    pub units: i64,
}

columns!(Granted { account_id, meter, units });

/// The credits of an account for a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account that owns the credits.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// Units granted by all purchases.
    pub granted: i64,
    /// Units of them that are used or held.
    pub consumed: i64,
}

columns!(Balance { account_id, meter, granted, consumed });

impl Balance {
    /// Returns the units left; negative if used ones were refunded.
    pub const fn left(&self) -> i64 {
        self.granted.saturating_sub(self.consumed)
    }
}

/// Locks a purchase's grant until the transaction ends, and returns the grant so far.
pub async fn take_grant(
    tx: &mut Tx,
    source: &str,
    account: &AccountId,
    meter: Meter,
    at: Timestamp,
) -> Result<Granted, StoreError> {
    tx.fetch_one(TAKE, values![source, account.as_str(), meter.as_str(), at.0]).await
}

/// Sets a purchase's grant.
pub async fn set_grant(tx: &mut Tx, source: &str, granted: &Granted, at: Timestamp) -> Result<(), StoreError> {
    let Granted { account_id, meter, units } = granted;
    tx.execute(SET, values![source, account_id, meter, *units, at.0]).await.map(drop)
}

/// Adds to the units granted to an account; negative units are subtracted.
pub async fn move_granted(tx: &mut Tx, account: &str, meter: &str, units: i64) -> Result<(), StoreError> {
    tx.execute(MOVE_GRANTED, values![account, meter, units]).await.map(drop)
}

/// Reads the balances of an account.
pub async fn balances(db: &Db, account: &AccountId) -> Result<Vec<Balance>, StoreError> {
    db.fetch_all(BALANCES, values![account.as_str()]).await
}
