//! Events from Stripe: written down before they are answered, claimed by lease,
//! settled together with their effects.

use std::collections::HashSet;
use std::sync::LazyLock;

use billing::{CustomerId, EventId, Timestamp};

use super::After;
use super::db::{Db, OfList, StoreError, Tx, list as list_of, of_list, query, statements};
use super::many_rows::{ManyRows, query_rows};

/// Leases the events that have been due longest, with an engine's words for rows that others hold.
/// Events of a subject that somebody is at work on wait until that is done: what is said of one
/// object is heard by one at a time.
macro_rules! claim {
    ($held:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT e.event_id AS id FROM webhook_event e \
            WHERE e.state = 'pending' AND e.next_attempt_at <= $1 AND (e.lease_until IS NULL OR e.lease_until <= $1) \
            AND NOT EXISTS (SELECT 1 FROM webhook_event h \
                WHERE h.subject = e.subject AND h.state = 'pending' AND h.lease_until > $1) \
            ORDER BY e.next_attempt_at, e.event_id LIMIT $2",
            $held,
            ") UPDATE webhook_event SET lease_owner = $3, lease_until = $4, attempts = attempts + 1 \
            FROM due WHERE webhook_event.event_id = due.id \
            RETURNING event_id, type, subject, customer_id, payload, attempts, created"
        )
    };
}

const KNOWN: OfList = of_list!("SELECT event_id FROM webhook_event WHERE event_id IN", "");

/// PostgreSQL's alone: SQLite lets one writer in at a time.
const CLAIM_UNHELD: &str = claim!(" FOR UPDATE OF e SKIP LOCKED");

statements! {
    INSERT_EVENT = "INSERT INTO webhook_event \
        (event_id, type, api_version, created, subject, customer_id, payload, state, next_attempt_at, received_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (event_id) DO NOTHING";
    ANY_DUE = "SELECT event_id FROM webhook_event \
        WHERE state = 'pending' AND next_attempt_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) LIMIT 1";
    CLAIM = claim!("");
    NAME_CUSTOMER = "UPDATE webhook_event SET customer_id = $2 WHERE event_id = $1 AND customer_id IS NULL";
    RENEW = "UPDATE webhook_event SET lease_until = $5 WHERE event_id = $1 AND lease_owner = $2 AND attempts = $3 \
        AND state = 'pending' AND lease_until > $4";
    SETTLE = "UPDATE webhook_event SET state = $2, settled_at = $3, lease_owner = NULL, lease_until = NULL, last_error = NULL \
        WHERE event_id = $1 AND state <> 'done' AND ((lease_owner = $4 AND attempts = $5) OR (lease_owner IS NULL AND $2 <> 'unmatched')) \
        AND ($2 <> 'unmatched' OR NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = webhook_event.customer_id))";
    HELD_BY_ANOTHER = "SELECT event_id FROM webhook_event \
        WHERE event_id = $1 AND lease_owner IS NOT NULL AND (lease_owner <> $2 OR attempts <> $3)";
    POSTPONE = "UPDATE webhook_event SET state = $2, next_attempt_at = $3, last_error = $4, lease_owner = NULL, lease_until = NULL \
        WHERE event_id = $1 AND state = 'pending' AND lease_owner = $5 AND attempts = $6";
    RELEASE_ALL = "UPDATE webhook_event SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL AND state = 'pending'";
    REVIVE_UNMATCHED = "UPDATE webhook_event SET state = 'pending', next_attempt_at = $2, attempts = 0, \
        lease_owner = NULL, lease_until = NULL WHERE state IN ('unmatched', 'pending') AND customer_id = $1";
    NEXT_DUE = "SELECT MIN(CASE WHEN lease_until > next_attempt_at THEN lease_until ELSE next_attempt_at END) \
        FROM webhook_event WHERE state = 'pending'";
    EVENT_STATE = "SELECT state, attempts, last_error FROM webhook_event WHERE event_id = $1";
    EVENT = "SELECT event_id, type, state, attempts, subject, customer_id, received_at, last_error FROM webhook_event \
        WHERE event_id = $1";
    LIST_EVENTS = "SELECT event_id, type, state, attempts, subject, customer_id, received_at, last_error FROM webhook_event \
        WHERE ($1 = '' OR state = $1) AND ($2 = '' OR type = $2 OR event_id = $2 OR subject = $2 OR customer_id = $2) \
        AND (received_at < $3 OR (received_at = $3 AND event_id < $4)) ORDER BY received_at DESC, event_id DESC LIMIT $5";
    UNMATCHED_CUSTOMERS = "SELECT customer_id, COUNT(*) FROM webhook_event WHERE state = 'unmatched' AND customer_id IS NOT NULL \
        GROUP BY customer_id ORDER BY customer_id";
    COUNT_STATES = "SELECT state, COUNT(*) FROM webhook_event GROUP BY state ORDER BY state";
    OLDEST_PENDING = "SELECT MIN(received_at) FROM webhook_event WHERE state = 'pending'";
    PAYLOAD = "SELECT payload FROM webhook_event WHERE event_id = $1";
    REPLAY = "UPDATE webhook_event SET state = 'pending', attempts = CASE WHEN lease_until > $2 THEN attempts ELSE 0 END, \
        next_attempt_at = $2, lease_owner = CASE WHEN lease_until > $2 THEN lease_owner END, \
        lease_until = CASE WHEN lease_until > $2 THEN lease_until END WHERE event_id = $1 AND state <> 'ignored'";
    COUNT_EVENTS = "SELECT COUNT(*) FROM webhook_event";
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// To be applied.
    Pending,
    /// Applied, in the same transaction as its effects.
    Done,
    /// Of a type that changes nothing here.
    Ignored,
    /// About a customer that no account owns yet; applied once one does.
    Unmatched,
    /// Failed so often that a person must look.
    Parked,
}

impl EventState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Unmatched => "unmatched",
            Self::Parked => "parked",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Ignored, Self::Unmatched, Self::Parked]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// A verified event to write down.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Stripe's id.
    pub id: &'a EventId,
    /// Stripe's type.
    pub kind: &'a str,
    /// The API version it was rendered in.
    pub api_version: Option<&'a str>,
    /// Stripe's time.
    pub created: Timestamp,
    /// What it is about, by which events are applied together.
    pub subject: Option<&'a str>,
    /// Whose it is at Stripe.
    pub customer: Option<&'a str>,
    /// The bytes that were signed.
    pub payload: &'a str,
    /// `Pending` or `Ignored`.
    pub state: EventState,
}

/// An event that this node holds a lease on.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Claimed {
    /// Stripe's id.
    pub event_id: String,
    /// Stripe's type.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// Whose it is at Stripe.
    pub customer_id: Option<String>,
    /// The bytes that were signed.
    pub payload: String,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// Stripe's time.
    pub created: i64,
}

impl Claimed {
    /// By what `owner` holds it.
    pub fn lease(&self, owner: &str) -> Lease {
        Lease { event: EventId::new(&self.event_id), owner: owner.to_owned(), attempt: self.attempts }
    }
}

/// By what a worker holds an event: this claim, and no later one. Whoever was away for longer than
/// a lease lasts finds that somebody else, or an other claim of its own, is at the event by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of which event.
    pub event: EventId,
    /// Whose it is.
    pub owner: String,
    /// Which try it is: every claim counts them up.
    pub attempt: i64,
}

/// Writes an event down. `false` when it is there already.
///
/// # Errors
/// The database failed; then Stripe must be told, so that it delivers again.
pub async fn insert(tx: &mut Tx, event: &NewEvent<'_>, at: Timestamp) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, INSERT_EVENT, event.id.as_str(), event.kind, event.api_version, event.created.0, event.subject,
        event.customer, event.payload, event.state.as_str(), at.0)
    .map(|added| added > 0)
}

static INSERT_EVENTS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "INSERT_EVENTS",
        "INSERT INTO webhook_event \
        (event_id, type, api_version, created, subject, customer_id, payload, state, next_attempt_at, received_at)",
        "$text, $text, $text, $bigint, $text, $text, $text, $text, $bigint, $bigint",
        " ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
    )
});

/// The statements of many rows, for the test that prepares them all.
pub(crate) fn many() -> Vec<&'static ManyRows> {
    vec![&INSERT_EVENTS]
}

/// Writes events down, each with the time it came. The ids of those that are new. `events` must be
/// sorted by id: two nodes that insert the same ones must not wait for each other.
///
/// # Errors
/// As [`insert`]; none of them was written.
pub async fn insert_all(tx: &mut Tx, events: &[(NewEvent<'_>, Timestamp)]) -> Result<HashSet<String>, StoreError> {
    let mut new = HashSet::new();
    for (sql, rows) in INSERT_EVENTS.split(tx, events) {
        let inserted = query_rows!(
            &mut *tx,
            fetch_all as (String,),
            sql,
            rows,
            |row| row.0.id.as_str(),
            row.0.kind,
            row.0.api_version,
            row.0.created.0,
            row.0.subject,
            row.0.customer,
            row.0.payload,
            row.0.state.as_str(),
            row.1.0,
            row.1.0
        )?;
        new.extend(inserted.into_iter().map(|(id,)| id));
    }
    Ok(new)
}

/// Takes a lease until `until` on at most `most` events that are due, oldest first by Stripe's time.
/// Two nodes never hold the same event or the same subject: they claim one after the other, and
/// see what the other has. Nobody waits for a row that is being settled.
///
/// # Errors
/// The database failed.
pub async fn claim(
    db: &Db,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
    most: i64,
) -> Result<Vec<Claimed>, StoreError> {
    // A worker that is idle looks often and must not hold up those who write.
    if query!(Db: db, fetch_optional as (String,), ANY_DUE, now.0)?.is_none() {
        return Ok(Vec::new());
    }
    let mut tx = db.begin().await?;
    tx.lock("claim").await?;
    let claim = match &tx {
        Tx::Sqlite(_) => CLAIM,
        Tx::Postgres(_) => CLAIM_UNHELD,
    };
    let mut claimed = query!(Tx: &mut tx, fetch_all as Claimed, claim, now.0, most, owner, until.0)?;
    // A lease need not outlive a power cut: what is done with it stands behind it in the log.
    drop(tx.commit_ahead().await?);
    claimed.sort_by(|a, b| (a.created, &a.event_id).cmp(&(b.created, &b.event_id)));
    Ok(claimed)
}

/// Holds on to what is being worked on. A lease that has run out is lost: somebody else may be at the
/// same subject by now.
///
/// # Errors
/// The database failed.
pub async fn renew(tx: &mut Tx, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, RENEW, lease.event.as_str(), lease.owner.as_str(), lease.attempt, now.0, until.0).map(drop)
}

/// Says whose events are that do not say it themselves, such as those of a refund.
///
/// # Errors
/// The database failed.
pub async fn name_customer(db: &Db, events: &[EventId], customer: &CustomerId) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    for event in events {
        query!(Tx: &mut tx, execute, NAME_CUSTOMER, event.as_str(), customer.as_str())?;
    }
    tx.commit().await
}

/// Marks an event, in the transaction that holds its effects. What is done stays done, and nobody
/// may say that a customer is nobody's once it was linked: see [`revive_unmatched`].
///
/// `false` when it was claimed again since: then whoever has it now applies it, and nothing of the
/// transaction may be committed.
///
/// # Errors
/// The database failed.
pub async fn settle(tx: &mut Tx, lease: &Lease, state: EventState, at: Timestamp) -> Result<bool, StoreError> {
    let (event, owner) = (lease.event.as_str(), lease.owner.as_str());
    let settled = query!(Tx: &mut *tx, execute, SETTLE, event, state.as_str(), at.0, owner, lease.attempt)?;
    Ok(settled > 0
        || query!(Tx: tx, fetch_optional as (String,), HELD_BY_ANOTHER, event, owner, lease.attempt)?.is_none())
}

/// Puts an event off until `next`, or parks it, and says why. One that was freed or claimed again
/// since is left as it is.
///
/// # Errors
/// The database failed.
pub async fn postpone(
    tx: &mut Tx,
    lease: &Lease,
    state: EventState,
    next: Timestamp,
    why: &str,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, POSTPONE, lease.event.as_str(), state.as_str(), next.0, why, lease.owner.as_str(),
        lease.attempt)
    .map(drop)
}

/// Lets go of everything that anybody holds: for a database that has one node, which has just
/// started, so that whoever held it is gone.
///
/// # Errors
/// The database failed.
pub async fn release_all(tx: &mut Tx) -> Result<(), StoreError> {
    query!(Tx: tx, execute, RELEASE_ALL).map(drop)
}

/// Makes the events of a customer that was just linked due again. That takes them away from those
/// who are at work on them: they may have looked for the account before there was one.
///
/// # Errors
/// The database failed.
pub async fn revive_unmatched(tx: &mut Tx, customer: &CustomerId, at: Timestamp) -> Result<u64, StoreError> {
    query!(Tx: tx, execute, REVIVE_UNMATCHED, customer.as_str(), at.0)
}

/// When the next event is due, if one is waiting.
///
/// # Errors
/// The database failed.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    let (at,) = query!(Db: db, fetch_one as (Option<i64>,), NEXT_DUE)?;
    Ok(at.map(Timestamp))
}

/// Where an event stands: its state, how often it was tried, and the last error.
///
/// # Errors
/// The database failed.
pub async fn standing(db: &Db, event: &EventId) -> Result<Option<(EventState, i64, Option<String>)>, StoreError> {
    let row = query!(Db: db, fetch_optional as (String, i64, Option<String>), EVENT_STATE, event.as_str())?;
    row.map(|(state, attempts, error)| {
        let state = EventState::parse(&state).ok_or_else(|| StoreError::BadRow {
            table: "webhook_event",
            row: event.to_string(),
            column: "state",
            what: state.clone(),
        })?;
        Ok((state, attempts, error))
    })
    .transpose()
}

/// An event as a list shows it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Listed {
    /// Stripe's id.
    pub event_id: String,
    /// Stripe's type.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// The word of its [`EventState`].
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What it is about.
    pub subject: Option<String>,
    /// Whose it is at Stripe.
    pub customer_id: Option<String>,
    /// Epoch seconds.
    pub received_at: i64,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// Which events a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those in this state.
    pub state: Option<EventState>,
    /// Those of this type, or about this object or customer, or the one with this id.
    pub about: Option<String>,
}

/// The newest events that a filter lets through, page by page.
///
/// # Errors
/// The database failed.
pub async fn list(db: &Db, filter: &Filter, after: &After, most: i64) -> Result<Vec<Listed>, StoreError> {
    let (state, about) = (filter.state.map_or("", EventState::as_str), filter.about.as_deref().unwrap_or_default());
    query!(Db: db, fetch_all as Listed, LIST_EVENTS, state, about, after.at.0, after.key.as_str(), most)
}

/// One event as a list shows it.
///
/// # Errors
/// The database failed.
pub async fn by_id(db: &Db, event: &EventId) -> Result<Option<Listed>, StoreError> {
    query!(Db: db, fetch_optional as Listed, EVENT, event.as_str())
}

/// Those of these events that were ever written down.
///
/// # Errors
/// The database failed.
pub async fn known(db: &Db, events: &[&str]) -> Result<HashSet<String>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String,), KNOWN.on(db), list_of(events))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The customers whom nobody owns, with how many events of theirs are kept.
///
/// # Errors
/// The database failed.
pub async fn unmatched_customers(db: &Db) -> Result<Vec<(CustomerId, i64)>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, i64), UNMATCHED_CUSTOMERS)?;
    Ok(rows.into_iter().map(|(customer, events)| (CustomerId::new(customer), events)).collect())
}

/// How many events there are in each state that any is in.
///
/// # Errors
/// The database failed.
pub async fn count_by_state(db: &Db) -> Result<Vec<(EventState, i64)>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, i64), COUNT_STATES)?;
    Ok(rows.into_iter().filter_map(|(state, count)| Some((EventState::parse(&state)?, count))).collect())
}

/// When the event came that has been waiting longest.
///
/// # Errors
/// The database failed.
pub async fn oldest_pending(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    Ok(query!(Db: db, fetch_one as (Option<i64>,), OLDEST_PENDING)?.0.map(Timestamp))
}

/// The bytes that were signed.
///
/// # Errors
/// The database failed.
pub async fn payload(db: &Db, event: &EventId) -> Result<Option<String>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), PAYLOAD, event.as_str())?.map(|(payload,)| payload))
}

/// Makes an event due again, whatever became of it; one that somebody is at work on is left to
/// them. `false` when there is none, or one of a type that changes nothing here.
///
/// # Errors
/// The database failed.
pub async fn replay(tx: &mut Tx, event: &EventId, at: Timestamp) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, REPLAY, event.as_str(), at.0).map(|changed| changed > 0)
}

/// How many events were ever written down.
///
/// # Errors
/// The database failed.
pub async fn count(db: &Db) -> Result<i64, StoreError> {
    Ok(query!(Db: db, fetch_one as (i64,), COUNT_EVENTS)?.0)
}
