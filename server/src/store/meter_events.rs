//! Use that is billed, on its way to Stripe.
//!
//! Use is added to the open event of its hour, in the transaction that counts it. An event is
//! sealed before it is sent: from then on it never changes, and its id names it at Stripe, so
//! that sending it again counts nothing twice (`tests/store/meter_events.rs`).

use billing::{AccountId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    ADD = "INSERT INTO meter_event (id, account_id, meter, hour, quantity, state, next_attempt_at) \
        VALUES ($1, $2, $3, $4, $5, 'open', $6) ON CONFLICT (account_id, meter, hour) WHERE state = 'open' \
        DO UPDATE SET quantity = meter_event.quantity + excluded.quantity";
    DUE_SENDERS = "SELECT DISTINCT account_id, meter FROM meter_event \
        WHERE state IN ('open', 'sealed') AND next_attempt_at <= $1 ORDER BY account_id, meter LIMIT $2";
    TAKE_SENDER = "INSERT INTO meter_sender (account_id, meter, lease_owner, lease_until) VALUES ($1, $2, $3, $5) \
        ON CONFLICT (account_id, meter) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until \
        WHERE meter_sender.lease_owner IS NULL OR meter_sender.lease_until <= $4 OR meter_sender.lease_owner = excluded.lease_owner \
        RETURNING lease_until";
    GIVE_SENDER = "UPDATE meter_sender SET lease_owner = NULL WHERE account_id = $1 AND meter = $2 AND lease_owner = $3";
    SEAL = "UPDATE meter_event SET state = 'sealed' WHERE account_id = $1 AND meter = $2 AND state = 'open' AND next_attempt_at <= $3";
    SEALED = "SELECT id, account_id, meter, hour, quantity, attempts, attempted_at FROM meter_event \
        WHERE account_id = $1 AND meter = $2 AND state = 'sealed' AND next_attempt_at <= $3 ORDER BY hour, id LIMIT 50";
    ATTEMPT = "UPDATE meter_event SET attempts = attempts + 1, attempted_at = COALESCE(attempted_at, $2) WHERE id = $1";
    SENT = "UPDATE meter_event SET state = 'sent', sent_at = $2, last_error = NULL WHERE id = $1 AND state = 'sealed'";
    POSTPONE = "UPDATE meter_event SET next_attempt_at = $2, last_error = $3, state = $4, \
        attempted_at = CASE WHEN $5 = 1 THEN NULL ELSE attempted_at END WHERE id = $1 AND state = 'sealed'";
    SENT_OF = "SELECT hour, quantity FROM meter_event WHERE account_id = $1 AND meter = $2 AND state = 'sent' \
        AND hour >= $3 AND hour < $4 ORDER BY hour";
    STATES = "SELECT state, COUNT(*) FROM meter_event GROUP BY state ORDER BY state";
    BILLED_SENDERS = "SELECT account_id, meter FROM meter_sender ORDER BY account_id, meter";
    PRUNE = "DELETE FROM meter_event WHERE state = 'sent' AND hour < $1";
}

/// An event that does not change any more.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Sealed {
    /// Its identifier at Stripe.
    pub id: String,
    /// Whose use.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// When it was used: the beginning of the hour.
    pub hour: i64,
    /// How much.
    pub quantity: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was first tried, if it may have come through since.
    pub attempted_at: Option<i64>,
}

/// Adds to the open event of an hour, or begins one, which is due at `due`.
///
/// # Errors
/// The database failed.
pub async fn add(
    tx: &mut Tx,
    id: &str,
    account: &str,
    meter: &str,
    hour: Timestamp,
    quantity: i64,
    due: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, ADD, id, account, meter, hour.0, quantity, due.0).map(drop)
}

/// Accounts and meters' keys that have something due.
///
/// # Errors
/// The database failed.
pub async fn due(db: &Db, now: Timestamp, most: i64) -> Result<Vec<(String, String)>, StoreError> {
    query!(Db: db, fetch_all as (String, String), DUE_SENDERS, now.0, most)
}

/// Takes the one place from which an account's meter is sent. `false`: somebody else has it.
///
/// # Errors
/// The database failed.
pub async fn take_sender(
    tx: &mut Tx,
    account: &str,
    meter: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let taken = query!(Tx: tx, fetch_optional as (i64,), TAKE_SENDER, account, meter, owner, now.0, until.0)?;
    Ok(taken.is_some())
}

/// Gives the place back.
///
/// # Errors
/// The database failed.
pub async fn give_sender(tx: &mut Tx, account: &str, meter: &str, owner: &str) -> Result<(), StoreError> {
    query!(Tx: tx, execute, GIVE_SENDER, account, meter, owner).map(drop)
}

/// Seals what is due, and gives all that is sealed and due, oldest first.
///
/// # Errors
/// The database failed.
pub async fn seal(tx: &mut Tx, account: &str, meter: &str, now: Timestamp) -> Result<Vec<Sealed>, StoreError> {
    query!(Tx: &mut *tx, execute, SEAL, account, meter, now.0)?;
    query!(Tx: tx, fetch_all as Sealed, SEALED, account, meter, now.0)
}

/// Stripe has it.
///
/// # Errors
/// The database failed.
pub async fn sent(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, SENT, id, at.0).map(drop)
}

/// Writes down that an event is about to be sent: should its outcome never be known.
///
/// # Errors
/// The database failed.
pub async fn attempt(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, ATTEMPT, id, at.0).map(drop)
}

/// Where use stands on its way to Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterEventState {
    /// Its hour is not over: more may be added.
    Open,
    /// To be sent as it is.
    Sealed,
    /// Stripe has it.
    Sent,
    /// A person must look.
    Parked,
}

impl MeterEventState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Sent => "sent",
            Self::Parked => "parked",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Sealed, Self::Sent, Self::Parked].into_iter().find(|state| state.as_str() == word)
    }
}

/// What becomes of an event that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Stripe said no: it did not count it.
    Refused,
    /// Nobody knows whether Stripe counted it.
    Unknown,
    /// A person must look.
    Parked,
}

/// Puts an event off until `next`, or parks it, and says why.
///
/// # Errors
/// The database failed.
pub async fn postpone(tx: &mut Tx, id: &str, next: Timestamp, why: &str, fate: Fate) -> Result<(), StoreError> {
    let state = if fate == Fate::Parked { MeterEventState::Parked } else { MeterEventState::Sealed };
    let is_refused = i64::from(fate == Fate::Refused);
    query!(Tx: tx, execute, POSTPONE, id, next.0, why, state.as_str(), is_refused).map(drop)
}

/// What Stripe was told of the hours in `[from, to)`: hour and units.
///
/// # Errors
/// The database failed.
pub async fn sent_of(
    db: &Db,
    account: &AccountId,
    meter: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(i64, i64)>, StoreError> {
    query!(Db: db, fetch_all as (i64, i64), SENT_OF, account.as_str(), meter, from.0, to.0)
}

/// Every account and meter that was ever billed for.
///
/// # Errors
/// The database failed.
pub async fn senders(db: &Db) -> Result<Vec<(String, String)>, StoreError> {
    query!(Db: db, fetch_all as (String, String), BILLED_SENDERS)
}

/// How many events are in each state.
///
/// # Errors
/// The database failed.
pub async fn states(db: &Db) -> Result<Vec<(MeterEventState, i64)>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, i64), STATES)?;
    Ok(rows.into_iter().filter_map(|(state, count)| Some((MeterEventState::parse(&state)?, count))).collect())
}

/// Deletes what was sent of hours before `before`.
///
/// # Errors
/// The database failed.
pub async fn prune(tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
    query!(Tx: tx, execute, PRUNE, before.0)
}
