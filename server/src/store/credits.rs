//! Units that were bought once: what each purchase gives now, and the balance of all.
//!
//! A grant and its balance move by the same difference in the same transaction, so that the
//! balance is always the sum of the grants and nobody has to add them up.

use billing::{AccountId, Meter, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    // A new one begins with nothing; one that is there is only locked. Either way: what it gave so far.
    TAKE_GRANT = "INSERT INTO credit_grant (source, account_id, meter, units, granted_at, changed_at) \
        VALUES ($1, $2, $3, 0, $4, $4) ON CONFLICT (source) DO UPDATE SET source = excluded.source \
        RETURNING account_id, meter, units";
    SET_GRANT = "UPDATE credit_grant SET account_id = $2, meter = $3, units = $4, changed_at = $5 WHERE source = $1";
    MOVE_GRANTED = "INSERT INTO credit_balance (account_id, meter, granted, consumed) VALUES ($1, $2, $3, 0) \
        ON CONFLICT (account_id, meter) DO UPDATE SET granted = credit_balance.granted + excluded.granted";
    BALANCES = "SELECT meter, granted, consumed FROM credit_balance WHERE account_id = $1";
    GRANTS = "SELECT source, meter, units, granted_at FROM credit_grant WHERE account_id = $1 ORDER BY granted_at, source";
}

/// What a purchase gives.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Granted {
    /// To whom.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// How many units.
    pub units: i64,
}

/// What a purchase has given so far, which nobody else changes until the transaction ends;
/// nothing for one that is new.
///
/// # Errors
/// The database failed.
pub async fn take_grant(
    tx: &mut Tx,
    source: &str,
    account: &AccountId,
    meter: Meter,
    at: Timestamp,
) -> Result<Granted, StoreError> {
    query!(Tx: tx, fetch_one as Granted, TAKE_GRANT, source, account.as_str(), meter.as_str(), at.0)
}

/// Says what a purchase gives from now on.
///
/// # Errors
/// The database failed, or there is no such account.
pub async fn set_grant(tx: &mut Tx, source: &str, granted: &Granted, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, SET_GRANT, source, granted.account_id.as_str(), granted.meter.as_str(), granted.units, at.0)
        .map(drop)
}

/// Moves what was granted to an account, up or down.
///
/// # Errors
/// The database failed, or there is no such account.
pub async fn move_granted(tx: &mut Tx, account: &str, meter: &str, units: i64) -> Result<(), StoreError> {
    query!(Tx: tx, execute, MOVE_GRANTED, account, meter, units).map(drop)
}

/// The balances of an account: meter's key, units granted, units consumed or held.
///
/// # Errors
/// The database failed.
pub async fn balances(db: &Db, account: &AccountId) -> Result<Vec<(String, i64, i64)>, StoreError> {
    query!(Db: db, fetch_all as (String, i64, i64), BALANCES, account.as_str())
}

/// The grants of an account, oldest first: purchase, meter's key, units it gives now, when it was made.
///
/// # Errors
/// The database failed.
pub async fn grants(db: &Db, account: &AccountId) -> Result<Vec<(String, String, i64, Timestamp)>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, String, i64, i64), GRANTS, account.as_str())?;
    Ok(rows.into_iter().map(|(source, meter, units, at)| (source, meter, units, Timestamp(at))).collect())
}
