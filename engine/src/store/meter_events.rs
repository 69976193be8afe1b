//! Overage on its way to Stripe.
//!
//! Overage is added to the open event of its hour, in the transaction that counts it. An event is
//! sealed before it is sent: from then on it never changes, and its id identifies it in Stripe, so that
//! a resent event is not counted twice (`tests/store/meter_events.rs`).

use billing::{AccountId, Timestamp};

use super::row::COUNTED;
use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    ADD = "INSERT INTO meter_event (id, account_id, meter, hour, quantity, state, next_attempt_at) \
        VALUES ($1, $2, $3, $4, $5, 'open', $6) ON CONFLICT (account_id, meter, hour) WHERE state = 'open' \
        DO UPDATE SET quantity = meter_event.quantity + excluded.quantity";
    DUE = "SELECT account_id, meter FROM meter_event WHERE state IN ('open', 'sealed') AND next_attempt_at <= $1 \
        GROUP BY account_id, meter ORDER BY MIN(next_attempt_at), account_id, meter LIMIT $2";
    MAKE_DUE = "UPDATE meter_event SET next_attempt_at = $2 WHERE account_id = $1 AND state IN ('open', 'sealed') \
        AND next_attempt_at > $2";
    UNSENT_OF = "SELECT DISTINCT account_id, meter FROM meter_event WHERE account_id = $1 AND state IN ('open', 'sealed') \
        ORDER BY meter";
    LEASE = "INSERT INTO meter_sender (account_id, meter, lease_owner, lease_until) VALUES ($1, $2, $3, $5) \
        ON CONFLICT (account_id, meter) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until \
        WHERE meter_sender.lease_owner IS NULL OR meter_sender.lease_until <= $4 OR meter_sender.lease_owner = excluded.lease_owner \
        RETURNING lease_until";
    RELEASE = "UPDATE meter_sender SET lease_owner = NULL WHERE account_id = $1 AND meter = $2 AND lease_owner = $3";
    SEAL = "UPDATE meter_event SET state = 'sealed' WHERE account_id = $1 AND meter = $2 AND state = 'open' AND next_attempt_at <= $3";
    SEALED = "SELECT id FROM meter_event \
        WHERE account_id = $1 AND meter = $2 AND state = 'sealed' AND next_attempt_at <= $3 ORDER BY hour, id LIMIT 50";
    ATTEMPT = "UPDATE meter_event SET attempts = attempts + 1 WHERE id = $1 AND state = 'sealed'";
    BY_ID = "SELECT id, account_id, meter, hour, quantity, attempts FROM meter_event WHERE id = $1 AND state = 'sealed'";
    SENT = "UPDATE meter_event SET state = 'sent', sent_at = $2, last_error = NULL WHERE id = $1 AND state = 'sealed'";
    RESCHEDULE = "UPDATE meter_event SET next_attempt_at = $2, last_error = $3 WHERE id = $1 AND state = 'sealed'";
    PARK = "UPDATE meter_event SET state = 'parked', last_error = $2 WHERE id = $1 AND state = 'sealed'";
    SENT_QUANTITIES = "SELECT quantity FROM meter_event WHERE account_id = $1 AND meter = $2 AND state = 'sent' \
        AND hour >= $3 AND hour < $4";
    COUNT_OF_STATE = "SELECT COUNT(*) FROM (SELECT 1 FROM meter_event WHERE state = $1 LIMIT $2) AS counted";
    SENDERS = "SELECT account_id, meter FROM meter_sender ORDER BY account_id, meter";
    PRUNE = "DELETE FROM meter_event WHERE id IN \
        (SELECT id FROM meter_event WHERE state = 'sent' AND hour < $1 ORDER BY hour LIMIT $2)";
}

/// An account's meter, which is sent by one process at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The account whose usage is sent.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
}

columns!(Sender { account_id, meter });

/// An event that no longer changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its identifier in Stripe.
    pub id: String,
    /// The account that is billed.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// The start of the hour of usage or, in the first hour of a window, of the window; in epoch seconds.
    pub hour: i64,
    /// The number of units.
    pub quantity: i64,
    /// The number of attempts.
    pub attempts: i64,
}

columns!(Sealed { id, account_id, meter, hour, quantity, attempts });

/// Adds to the open event of an hour, or creates one with the identifier `id`, due at `due`.
pub async fn add(
    tx: &mut Tx,
    id: &str,
    account: &str,
    meter: &str,
    hour: Timestamp,
    quantity: i64,
    due: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(ADD, values![id, account, meter, hour.0, quantity, due.0]).await.map(drop)
}

/// Lists the meters with due events.
pub async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Sender>, StoreError> {
    db.fetch_all(DUE, values![now.0, limit]).await
}

/// Makes everything of an account due that is not sent yet, the current hour included.
pub async fn make_due(tx: &mut Tx, account: &AccountId, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(MAKE_DUE, values![account.as_str(), now.0]).await.map(drop)
}

/// Returns the meters of an account that have something to send.
pub async fn unsent_of(db: &Db, account: &AccountId) -> Result<Vec<Sender>, StoreError> {
    db.fetch_all(UNSENT_OF, values![account.as_str()]).await
}

/// Acquires or renews the lease on sending a meter. `false` if another process holds it.
pub async fn lease(
    tx: &mut Tx,
    sender: &Sender,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let values = values![sender.account_id.as_str(), sender.meter.as_str(), owner, now.0, until.0];
    Ok(tx.fetch_optional::<(i64,)>(LEASE, values).await?.is_some())
}

/// Releases the lease.
pub async fn release(tx: &mut Tx, sender: &Sender, owner: &str) -> Result<(), StoreError> {
    tx.execute(RELEASE, values![sender.account_id.as_str(), sender.meter.as_str(), owner]).await.map(drop)
}

/// Seals open events that are due, and returns the ids of all sealed events that are due, oldest first.
pub async fn seal(tx: &mut Tx, sender: &Sender, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let values = values![sender.account_id.as_str(), sender.meter.as_str(), now.0];
    tx.execute(SEAL, values.clone()).await?;
    let sealed = tx.fetch_all::<(String,)>(SEALED, values).await?;
    Ok(sealed.into_iter().map(|(id,)| id).collect())
}

/// Counts an attempt to send an event. `false`: it is no longer sealed.
pub async fn attempt(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(ATTEMPT, values![id]).await? > 0)
}

/// Returns the sealed event with this id.
pub async fn sealed(db: &Db, id: &str) -> Result<Option<Sealed>, StoreError> {
    db.fetch_optional(BY_ID, values![id]).await
}

/// Records that Stripe has the event.
pub async fn sent(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(SENT, values![id, at.0]).await.map(drop)
}

/// The state of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterEventState {
    /// Its hour is not over: more usage may be added.
    Open,
    /// Complete, and to be sent.
    Sealed,
    /// Stripe has it.
    Sent,
    /// Needs an operator.
    Parked,
}

impl MeterEventState {
    /// Returns the text stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Sent => "sent",
            Self::Parked => "parked",
        }
    }

    /// Reads the text stored in the database.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Sealed, Self::Sent, Self::Parked].into_iter().find(|state| state.as_str() == text)
    }
}

/// Reschedules an event for `next`, with the reason.
pub async fn reschedule(tx: &mut Tx, id: &str, next: Timestamp, reason: &str) -> Result<(), StoreError> {
    tx.execute(RESCHEDULE, values![id, next.0, reason]).await.map(drop)
}

/// Parks an event, with the reason: it is not sent without an operator's decision.
pub async fn park(tx: &mut Tx, id: &str, reason: &str) -> Result<(), StoreError> {
    tx.execute(PARK, values![id, reason]).await.map(drop)
}

/// Returns the units sent to Stripe for the hours in `[from, to)`.
pub async fn sent_units(
    db: &Db,
    account: &AccountId,
    meter: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<i64, StoreError> {
    let rows = db.fetch_all::<(i64,)>(SENT_QUANTITIES, values![account.as_str(), meter, from.0, to.0]).await?;
    Ok(rows.into_iter().fold(0, |sum, (units,)| sum.saturating_add(units)))
}

/// Lists every meter of every account that was ever billed.
pub async fn senders(db: &Db) -> Result<Vec<Sender>, StoreError> {
    db.fetch_all(SENDERS, values![]).await
}

/// Counts the events in a state, up to [`COUNTED`] and one more.
pub async fn count(db: &Db, state: MeterEventState) -> Result<i64, StoreError> {
    Ok(db.fetch_one::<(i64,)>(COUNT_OF_STATE, values![state.as_str(), COUNTED + 1]).await?.0)
}

/// Deletes at most `limit` sent events of hours before `before`, and returns their number.
pub async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(PRUNE, values![before.0, limit]).await
}
