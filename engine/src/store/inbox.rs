//! Events from Stripe: stored before they are acknowledged, claimed by lease, settled in one transaction
//! with their effects.

use std::collections::HashSet;
use std::sync::LazyLock;

use billing::{AccountId, CustomerId, EventId, Timestamp};
use futures::future::try_join_all;

use super::batch::BatchStatement;
use super::list::{ListQuery, list as list_of, list_query};
use super::row::{COUNTED, RowRef};
use super::value::Value;
use super::{Cursor, Db, Durability, StoreError, Tx, columns, statements, values};

/// Leases the due events of the subjects that have waited longest, with a database's syntax for rows that are
/// locked. A claim reads only what it takes, however many events are pending: it walks the index
/// `webhook_event_due` from the front, and takes the other events of a subject from the index
/// `webhook_event_subject`. Subjects that a worker holds are skipped, so that one worker at a time applies a
/// subject; the subquery is scalar because a planner would turn `NOT EXISTS` into a join of all pending events.
macro_rules! claim {
    ($locked:literal) => {
        concat!(
            "WITH first AS MATERIALIZED (SELECT e.subject FROM webhook_event e \
            WHERE e.state = 'pending' AND e.lease_until IS NULL AND e.next_attempt_at <= $1 \
            AND (SELECT h.event_id FROM webhook_event h WHERE h.lease_until > $1 AND h.subject = e.subject LIMIT 1) IS NULL \
            ORDER BY e.next_attempt_at, e.event_id LIMIT $2), \
            due AS MATERIALIZED (SELECT e.event_id AS id FROM webhook_event e \
            WHERE e.subject IN (SELECT subject FROM first) \
            AND e.state = 'pending' AND e.lease_until IS NULL AND e.next_attempt_at <= $1 LIMIT $3",
            $locked,
            ") UPDATE webhook_event SET lease_owner = $4, lease_until = $5, attempts = attempts + 1 \
            FROM due WHERE webhook_event.event_id = due.id \
            RETURNING event_id, type, subject, customer_id, payload, attempts, postponed, created"
        )
    };
}

/// Releases the leases that have expired, so that their events are due again.
macro_rules! release_expired {
    ($locked:literal) => {
        concat!(
            "UPDATE webhook_event SET lease_owner = NULL, lease_until = NULL \
            WHERE event_id IN (SELECT event_id FROM webhook_event WHERE state = 'pending' AND lease_until <= $1",
            $locked,
            ")"
        )
    };
}

/// Renews leases. Rows that are being settled are skipped: waiting for them could be a deadlock.
macro_rules! renew {
    ($locked:literal) => {
        concat!(
            "), held AS MATERIALIZED (SELECT e.event_id, renewed.until FROM renewed \
            JOIN webhook_event e ON e.event_id = renewed.event_id \
            WHERE e.lease_owner = renewed.owner AND e.attempts = renewed.attempt \
            AND e.state = 'pending' AND e.lease_until > renewed.now",
            $locked,
            ") UPDATE webhook_event SET lease_until = held.until FROM held WHERE webhook_event.event_id = held.event_id"
        )
    };
}

/// Events without their payloads, newest first.
macro_rules! summaries {
    ($condition:literal) => {
        concat!(
            "SELECT event_id, type, state, attempts, subject, customer_id, received_at, last_error FROM webhook_event WHERE ",
            $condition,
            " ORDER BY received_at DESC, event_id DESC LIMIT $3"
        )
    };
}

/// The events of a type, among the newest 10,000 in a state.
macro_rules! of_type {
    ($condition:literal) => {
        concat!(
            "SELECT event_id, type, state, attempts, subject, customer_id, received_at, last_error FROM \
            (SELECT * FROM webhook_event WHERE ",
            $condition,
            " AND (received_at, event_id) < ($1, $2) ORDER BY received_at DESC, event_id DESC LIMIT 10000) AS newest \
            WHERE type = $4 ORDER BY received_at DESC, event_id DESC LIMIT $3"
        )
    };
}

/// The number of events in a state, up to a limit.
macro_rules! count {
    ($condition:literal) => {
        concat!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event WHERE ",
            $condition,
            " ORDER BY received_at DESC LIMIT $1) AS counted"
        )
    };
}

const KNOWN: ListQuery = list_query!("SELECT event_id FROM webhook_event WHERE event_id IN", "");

/// The statements with a list parameter, by name.
pub(super) const LISTS: &[(&str, ListQuery)] = &[("KNOWN", KNOWN)];

/// For PostgreSQL only: SQLite has one writer at a time.
const CLAIM_UNLOCKED: &str = claim!(" FOR UPDATE OF e SKIP LOCKED");
const RELEASE_EXPIRED_UNLOCKED: &str = release_expired!(" FOR UPDATE SKIP LOCKED");

statements! {
    ANY_DUE = "SELECT 'due' WHERE \
        EXISTS (SELECT 1 FROM webhook_event WHERE state = 'pending' AND lease_until IS NULL AND next_attempt_at <= $1) \
        OR EXISTS (SELECT 1 FROM webhook_event WHERE state = 'pending' AND lease_until <= $1)";
    CLAIM = claim!("");
    RELEASE_EXPIRED = release_expired!("");
    RELEASE_ALL = "UPDATE webhook_event SET lease_owner = NULL, lease_until = NULL WHERE lease_until IS NOT NULL AND state = 'pending'";
    REVIVE_OF_CUSTOMER = "UPDATE webhook_event SET state = 'pending', next_attempt_at = $2, attempts = 0, \
        postponed = 0, lease_owner = NULL, lease_until = NULL \
        WHERE state IN ('unmatched', 'pending') AND customer_id = $1 AND payload <> ''";
    REVIVE_FOR_ACCOUNT = "UPDATE webhook_event SET state = 'pending', next_attempt_at = $2, attempts = 0, postponed = 0 \
        WHERE state = 'unmatched' AND account_hint = $1";
    NEXT_DUE = "SELECT MIN(due) FROM (\
        SELECT MIN(next_attempt_at) AS due FROM webhook_event WHERE state = 'pending' AND lease_until IS NULL \
        UNION ALL SELECT MIN(lease_until) FROM webhook_event WHERE state = 'pending' AND lease_until IS NOT NULL) AS either";
    BY_ID = "SELECT event_id, type, state, attempts, subject, customer_id, received_at, last_error FROM webhook_event \
        WHERE event_id = $1";
    // Each with the state written out: a parameter would not match the condition of an index.
    LIST_PENDING = summaries!("state = 'pending' AND (received_at, event_id) < ($1, $2)");
    LIST_DONE = summaries!("state = 'done' AND (received_at, event_id) < ($1, $2)");
    LIST_IGNORED = summaries!("state = 'ignored' AND (received_at, event_id) < ($1, $2)");
    LIST_UNMATCHED = summaries!("state = 'unmatched' AND (received_at, event_id) < ($1, $2)");
    LIST_PARKED = summaries!("state = 'parked' AND (received_at, event_id) < ($1, $2)");
    PENDING_OF_TYPE = of_type!("state = 'pending'");
    DONE_OF_TYPE = of_type!("state = 'done'");
    IGNORED_OF_TYPE = of_type!("state = 'ignored'");
    UNMATCHED_OF_TYPE = of_type!("state = 'unmatched'");
    PARKED_OF_TYPE = of_type!("state = 'parked'");
    // The events of a subject are in three indexes, and those of a customer in two.
    LIST_OF_SUBJECT = summaries!("subject = $5 AND state <> 'pending' AND (received_at, event_id) < ($1, $2) \
        AND ($4 = '' OR state = $4)");
    LIST_OF_SUBJECT_PENDING = summaries!("subject = $5 AND state = 'pending' AND lease_until IS NULL \
        AND (received_at, event_id) < ($1, $2) AND ($4 = '' OR state = $4)");
    LIST_OF_SUBJECT_LEASED = summaries!("subject = $5 AND state = 'pending' AND lease_until IS NOT NULL AND lease_until > 0 \
        AND (received_at, event_id) < ($1, $2) AND ($4 = '' OR state = $4)");
    LIST_OF_CUSTOMER = summaries!("customer_id = $5 AND payload <> '' AND (received_at, event_id) < ($1, $2) \
        AND ($4 = '' OR state = $4)");
    LIST_OF_CUSTOMER_ERASED = summaries!("customer_id = $5 AND payload = '' AND (received_at, event_id) < ($1, $2) \
        AND ($4 = '' OR state = $4)");
    UNMATCHED_CUSTOMERS = "SELECT customer_id, COUNT(*) AS events FROM webhook_event WHERE state = 'unmatched' AND customer_id IS NOT NULL \
        GROUP BY customer_id ORDER BY customer_id";
    COUNT_PENDING = count!("state = 'pending'");
    COUNT_DONE = count!("state = 'done'");
    COUNT_IGNORED = count!("state = 'ignored'");
    COUNT_UNMATCHED = count!("state = 'unmatched'");
    COUNT_PARKED = count!("state = 'parked'");
    OLDEST_PENDING = "SELECT MIN(received_at) FROM webhook_event WHERE state = 'pending'";
    POSTPONED = "SELECT \
        (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event WHERE state = 'pending' AND postponed > 0 LIMIT $1) AS counted) AS events, \
        (SELECT MIN(received_at) FROM webhook_event WHERE state = 'pending' AND postponed > 0) AS since, \
        (SELECT last_error FROM webhook_event WHERE state = 'pending' AND postponed > 0 ORDER BY received_at LIMIT 1) AS reason";
    PAYLOAD = "SELECT payload FROM webhook_event WHERE event_id = $1";
    REPLAY = "UPDATE webhook_event SET state = 'pending', attempts = CASE WHEN lease_until > $2 THEN attempts ELSE 0 END, \
        postponed = CASE WHEN lease_until > $2 THEN postponed ELSE 0 END, next_attempt_at = $2, lease_owner = CASE WHEN lease_until > $2 THEN lease_owner END, \
        lease_until = CASE WHEN lease_until > $2 THEN lease_until END WHERE event_id = $1 AND state <> 'ignored' AND payload <> ''";
    ERASE_PAYLOADS = "UPDATE webhook_event SET payload = '', state = CASE state WHEN 'parked' THEN 'ignored' ELSE state END WHERE event_id IN (SELECT e.event_id FROM customer c \
        JOIN webhook_event e ON e.customer_id = c.id WHERE c.account_id = $1 AND e.payload <> '' AND e.state IN ('done', 'ignored', 'parked'))";
    ERASE_PAYLOADS_OF_CLOSED = "UPDATE webhook_event SET payload = '', state = CASE state WHEN 'parked' THEN 'ignored' ELSE state END WHERE event_id IN (SELECT e.event_id FROM account a \
        JOIN customer c ON c.account_id = a.id JOIN webhook_event e ON e.customer_id = c.id \
        WHERE a.closed_at > $1 AND e.payload <> '' AND e.state IN ('done', 'ignored', 'parked') LIMIT $2)";
    ERASE_OLD_PAYLOADS = "UPDATE webhook_event SET payload = '' WHERE event_id IN (SELECT event_id FROM webhook_event \
        WHERE state IN ('done', 'ignored') AND payload <> '' AND received_at < $1 ORDER BY received_at LIMIT $2)";
    PRUNE_DONE = "DELETE FROM webhook_event WHERE event_id IN (SELECT event_id FROM webhook_event \
        WHERE state = 'done' AND received_at < $1 ORDER BY received_at LIMIT $2)";
    PRUNE_IGNORED = "DELETE FROM webhook_event WHERE event_id IN (SELECT event_id FROM webhook_event \
        WHERE state = 'ignored' AND received_at < $1 ORDER BY received_at LIMIT $2)";
    PRUNE_UNMATCHED = "DELETE FROM webhook_event WHERE event_id IN (SELECT event_id FROM webhook_event \
        WHERE state = 'unmatched' AND received_at < $1 ORDER BY received_at LIMIT $2)";
    REPLAY_PARKED = "UPDATE webhook_event SET state = 'pending', attempts = 0, postponed = 0, next_attempt_at = $1 WHERE state = 'parked'";
}

static INSERT_EVENTS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "INSERT_EVENTS",
        "INSERT INTO webhook_event \
        (event_id, type, api_version, created, subject, customer_id, payload, state, next_attempt_at, received_at)",
        "$text, $text, $text, $bigint, $text, $text, $text, $text, $bigint, $bigint",
        " ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
    )
});

static SETTLE: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "SETTLE",
        "WITH held (event_id, owner, attempt, state, at, hint) AS (",
        "$text, $text, $bigint, $text, $bigint, $text",
        ") UPDATE webhook_event SET state = held.state, settled_at = held.at, account_hint = held.hint, \
        lease_owner = NULL, lease_until = NULL, last_error = NULL FROM held \
        WHERE webhook_event.event_id = held.event_id AND webhook_event.state <> 'done' \
        AND ((lease_owner = held.owner AND attempts = held.attempt) OR (lease_owner IS NULL AND held.state <> 'unmatched')) \
        AND (held.state <> 'unmatched' OR NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = webhook_event.customer_id))",
    )
});

static HELD_BY_ANOTHER: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "HELD_BY_ANOTHER",
        "WITH lease (event_id, owner, attempt) AS (",
        "$text, $text, $bigint",
        ") SELECT e.event_id FROM lease JOIN webhook_event e ON e.event_id = lease.event_id \
        WHERE e.lease_owner <> lease.owner OR (e.lease_owner IS NOT NULL AND e.attempts <> lease.attempt)",
    )
});

static SET_CUSTOMER: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "SET_CUSTOMER",
        "WITH found (event_id, customer) AS (",
        "$text, $text",
        ") UPDATE webhook_event SET customer_id = found.customer FROM found \
        WHERE webhook_event.event_id = found.event_id AND customer_id IS NULL",
    )
});

const RENEWED: &str = "WITH renewed (event_id, owner, attempt, now, until) AS (";
const RENEWED_ROW: &str = "$text, $text, $bigint, $bigint, $bigint";

static RENEW: LazyLock<BatchStatement> =
    LazyLock::new(|| BatchStatement::new("RENEW", RENEWED, RENEWED_ROW, renew!("")));

/// For PostgreSQL only, like those above.
static RENEW_UNLOCKED: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new("RENEW_UNLOCKED", RENEWED, RENEWED_ROW, renew!(" FOR UPDATE OF e SKIP LOCKED"))
});

static RESCHEDULE: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "RESCHEDULE",
        "WITH later (event_id, owner, attempt, state, at, outages, reason) AS (",
        "$text, $text, $bigint, $text, $bigint, $bigint, $text",
        ") UPDATE webhook_event SET state = later.state, next_attempt_at = COALESCE(later.at, next_attempt_at), last_error = later.reason, \
        postponed = postponed + later.outages, lease_owner = NULL, lease_until = NULL FROM later \
        WHERE webhook_event.event_id = later.event_id AND webhook_event.state = 'pending' \
        AND lease_owner = later.owner AND attempts = later.attempt",
    )
});

/// Returns the batch statements.
pub(super) fn batches(db: &Db) -> Vec<&'static BatchStatement> {
    vec![&INSERT_EVENTS, &SETTLE, &HELD_BY_ANOTHER, &SET_CUSTOMER, renew_on(db.is_shared()), &RESCHEDULE]
}

fn renew_on(is_shared: bool) -> &'static BatchStatement {
    if is_shared { &RENEW_UNLOCKED } else { &RENEW }
}

/// Returns the statements specific to one database, by name.
pub(super) fn own_statements(db: &Db) -> Vec<(&'static str, &'static str)> {
    if !db.is_shared() {
        return Vec::new();
    }
    vec![("CLAIM_UNLOCKED", CLAIM_UNLOCKED), ("RELEASE_EXPIRED_UNLOCKED", RELEASE_EXPIRED_UNLOCKED)]
}

/// The state of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// To be applied.
    Pending,
    /// Applied, in the transaction that holds its effects.
    Done,
    /// Of a type that changes nothing here.
    Ignored,
    /// About a customer that no account owns yet; applied once one does.
    Unmatched,
    /// Failed too often; needs an operator.
    Parked,
}

impl EventState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Done, Self::Ignored, Self::Unmatched, Self::Parked];

    /// Returns the text stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Unmatched => "unmatched",
            Self::Parked => "parked",
        }
    }

    /// Reads the text stored in the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A verified event to be stored.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Stripe's id.
    pub id: EventId,
    /// Stripe's type, such as `invoice.paid`.
    pub kind: String,
    /// The API version of its payload.
    pub api_version: Option<String>,
    /// Stripe's time.
    pub created: Timestamp,
    /// The id of the object it belongs to; events of one subject are applied together.
    pub subject: Option<String>,
    /// Its customer in Stripe.
    pub customer: Option<String>,
    /// The signed bytes.
    pub payload: String,
    /// `Pending` or `Ignored`.
    pub state: EventState,
    /// When it was received.
    pub received_at: Timestamp,
}

/// A claimed event.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Stripe's id.
    pub event_id: String,
    /// Stripe's type.
    pub kind: String,
    /// The id of the object it belongs to.
    pub subject: String,
    /// Its customer in Stripe.
    pub customer_id: Option<String>,
    /// The signed bytes.
    pub payload: String,
    /// The number of claims, including this one.
    pub attempts: i64,
    /// How many of its attempts failed because Stripe was unavailable.
    pub postponed: i64,
    /// Stripe's time, in epoch seconds.
    pub created: i64,
}

columns!(Claimed { event_id, kind: "type", subject, customer_id, payload, attempts, postponed, created });

impl Claimed {
    /// How many of its attempts count: an outage of Stripe is not the event's fault.
    pub const fn tries(&self) -> i64 {
        self.attempts - self.postponed
    }

    /// Returns `owner`'s lease on it.
    pub fn lease(&self, owner: &str) -> Lease {
        Lease { event: EventId::new(&self.event_id), owner: owner.to_owned(), attempt: self.attempts }
    }
}

/// A worker's lease on an event, for this claim and no later one. A worker that stalls for longer than the
/// lease may find that another worker, or a later claim of its own, holds the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The event.
    pub event: EventId,
    /// The worker.
    pub owner: String,
    /// The number of the claim.
    pub attempt: i64,
}

/// Stores events, and returns the ids of the new ones. `events` must be sorted by id, so that two nodes
/// that insert the same ones do not deadlock.
pub async fn insert(tx: &mut Tx, events: &[NewEvent]) -> Result<HashSet<String>, StoreError> {
    let rows = events.iter().map(|event| {
        values![
            event.id.as_str(),
            event.kind.as_str(),
            event.api_version.as_deref(),
            event.created.0,
            event.subject.as_deref(),
            event.customer.as_deref(),
            event.payload.as_str(),
            event.state.as_str(),
            event.received_at.0,
            event.received_at.0
        ]
    });
    let inserted = INSERT_EVENTS.fetch_all::<(String,)>(tx, rows.collect()).await?;
    Ok(inserted.into_iter().map(|(id,)| id).collect())
}

/// The most events that one claim takes, so that the transaction that settles them stays short.
const MAX_CLAIMED: i64 = 512;

/// Leases the due events of at most `subjects` subjects until `until`, and returns them oldest first by
/// Stripe's time. Two nodes never hold the same event or the same subject: they claim one after the other,
/// and see each other's leases. Rows that are being settled are skipped.
pub async fn claim(
    db: &Db,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
    subjects: i64,
) -> Result<Vec<Claimed>, StoreError> {
    // An idle worker polls often and must not block writers.
    if db.fetch_optional::<(String,)>(ANY_DUE, values![now.0]).await?.is_none() {
        return Ok(Vec::new());
    }
    let (release, claim) = match db.is_shared() {
        true => (RELEASE_EXPIRED_UNLOCKED, CLAIM_UNLOCKED),
        false => (RELEASE_EXPIRED, CLAIM),
    };
    // A crash of the machine that loses a lease loses nothing else: the event is claimed again.
    let mut tx = db.begin_with(Durability::Eventual).await?;
    tx.lock("claim").await?;
    tx.execute(release, values![now.0]).await?;
    let values = values![now.0, subjects, MAX_CLAIMED, owner, until.0];
    let mut claimed = tx.fetch_all::<Claimed>(claim, values).await?;
    tx.commit().await?;
    claimed.sort_by(|a, b| (a.created, &a.event_id).cmp(&(b.created, &b.event_id)));
    Ok(claimed)
}

/// Renews leases. An expired lease is lost: another worker may hold the subject by now.
pub async fn renew(db: &Db, leases: &[&Lease], now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
    let rows = leases
        .iter()
        .map(|Lease { event, owner, attempt }| values![event.as_str(), owner.as_str(), *attempt, now.0, until.0]);
    let mut tx = db.begin().await?;
    renew_on(db.is_shared()).execute(&mut tx, rows.collect()).await?;
    tx.commit().await
}

/// Records the customer of events that do not contain it themselves, such as those of a refund.
pub async fn set_customer(db: &Db, events: &[EventId], customer: &CustomerId) -> Result<(), StoreError> {
    let rows = events.iter().map(|event| values![event.as_str(), customer.as_str()]);
    let mut tx = db.begin().await?;
    SET_CUSTOMER.execute(&mut tx, rows.collect()).await?;
    tx.commit().await
}

/// Settles events, in the transaction that holds their effects. A done event stays done, and an event
/// cannot become unmatched after its customer was linked: see [`revive_of_customer`]. `account_hint` is
/// the account that an unmatched event's objects name. Returns an event that another worker or another
/// claim holds, if there is one: then this transaction must not be committed.
pub async fn settle(
    tx: &mut Tx,
    leases: &[Lease],
    state: EventState,
    account_hint: Option<&str>,
    at: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let rows = leases.iter().map(|Lease { event, owner, attempt }| {
        values![event.as_str(), owner.as_str(), *attempt, state.as_str(), at.0, account_hint]
    });
    let settled = SETTLE.execute(tx, rows.collect()).await?;
    if usize::try_from(settled).is_ok_and(|settled| settled == leases.len()) {
        return Ok(None);
    }
    let rows = leases
        .iter()
        .map(|Lease { event, owner, attempt }| values![event.as_str(), owner.as_str(), *attempt])
        .collect();
    let held = HELD_BY_ANOTHER.fetch_all::<(String,)>(tx, rows).await?;
    Ok(held.into_iter().next().map(|(event,)| EventId::new(event)))
}

/// The consequence of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The event is tried again at this time.
    Retry(Timestamp),
    /// The event is tried again at this time. Stripe was unavailable, so the attempt does not count.
    Postpone(Timestamp),
    /// The event waits for an operator.
    Park,
}

/// Records failed attempts with their reason. An event that has since been released or claimed again is
/// not changed.
pub async fn reschedule(tx: &mut Tx, failed: &[(Lease, Next)], reason: &str) -> Result<(), StoreError> {
    let rows = failed.iter().map(|(Lease { event, owner, attempt }, next)| {
        let (state, at, outages) = match next {
            Next::Retry(at) => (EventState::Pending, Some(at.0), 0_i64),
            Next::Postpone(at) => (EventState::Pending, Some(at.0), 1),
            Next::Park => (EventState::Parked, None, 0),
        };
        values![event.as_str(), owner.as_str(), *attempt, state.as_str(), at, outages, reason]
    });
    RESCHEDULE.execute(tx, rows.collect()).await.map(drop)
}

/// Releases every lease: for a single-node database at startup, when no holder can be alive.
pub async fn release_all(tx: &mut Tx) -> Result<(), StoreError> {
    tx.execute(RELEASE_ALL, values![]).await.map(drop)
}

/// Makes the events of a newly linked customer due again, and returns their number. Workers that hold
/// some of them lose their leases, because they may have looked for the account before it was linked.
pub async fn revive_of_customer(tx: &mut Tx, customer: &CustomerId, at: Timestamp) -> Result<u64, StoreError> {
    tx.execute(REVIVE_OF_CUSTOMER, values![customer.as_str(), at.0]).await
}

/// Makes the events whose objects refer to a newly created account due again, and returns their number.
pub async fn revive_for_account(tx: &mut Tx, account: &AccountId, at: Timestamp) -> Result<u64, StoreError> {
    tx.execute(REVIVE_FOR_ACCOUNT, values![account.as_str(), at.0]).await
}

/// Returns the time at which the next event is due, if one is pending.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    Ok(db.fetch_one::<(Option<i64>,)>(NEXT_DUE, values![]).await?.0.map(Timestamp))
}

/// An event without its payload.
#[derive(Clone, Debug)]
pub struct EventSummary {
    /// Stripe's id.
    pub id: EventId,
    /// Stripe's type.
    pub kind: String,
    /// Its state.
    pub state: EventState,
    /// The number of attempts.
    pub attempts: i64,
    /// The id of the object it belongs to.
    pub subject: Option<String>,
    /// Its customer in Stripe.
    pub customer: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The error of the last attempt.
    pub last_error: Option<String>,
}

struct EventRow {
    event_id: String,
    kind: String,
    state: String,
    attempts: i64,
    subject: Option<String>,
    customer_id: Option<String>,
    received_at: i64,
    last_error: Option<String>,
}

columns!(EventRow { event_id, kind: "type", state, attempts, subject, customer_id, received_at, last_error });

impl EventRow {
    fn read(self) -> Result<EventSummary, StoreError> {
        Ok(EventSummary {
            state: state(&self.state, &self.event_id)?,
            id: EventId::new(self.event_id),
            kind: self.kind,
            attempts: self.attempts,
            subject: self.subject,
            customer: self.customer_id,
            received_at: Timestamp(self.received_at),
            last_error: self.last_error,
        })
    }
}

fn state(text: &str, row: &str) -> Result<EventState, StoreError> {
    let at = RowRef { table: "webhook_event", row };
    EventState::parse(text).ok_or_else(|| at.corrupt("state", &text))
}

/// The filter of a list of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those in this state.
    pub state: Option<EventState>,
    /// Only those of this type, about this object or customer, or with this id.
    pub about: Option<String>,
}

/// Reads a page of the events that match a filter, newest first. Each statement reads little more than it returns; a
/// type is looked for among the 10,000 events of each state before the page.
pub async fn list(db: &Db, filter: &EventFilter, after: &Cursor, limit: i64) -> Result<Vec<EventSummary>, StoreError> {
    let (at, key) = (after.at.0, after.key.as_str());
    let states = EventState::ALL.into_iter().filter(|state| filter.state.is_none_or(|only| only == *state));
    let about = filter.about.as_deref().unwrap_or_default();
    let mut pages: Vec<(&'static str, Vec<Value>)> = Vec::new();
    if about.is_empty() {
        pages.extend(states.map(|state| (statements_of(state).list, values![at, key, limit])));
    } else if about.contains('.') {
        // A type contains a dot, and no id does.
        pages.extend(states.map(|state| (statements_of(state).of_type, values![at, key, limit, about])));
    } else {
        let state = filter.state.map_or("", EventState::as_str);
        let of_subject = [LIST_OF_SUBJECT, LIST_OF_SUBJECT_PENDING, LIST_OF_SUBJECT_LEASED];
        let statements = of_subject.into_iter().chain([LIST_OF_CUSTOMER, LIST_OF_CUSTOMER_ERASED]);
        pages.extend(statements.map(|statement| (statement, values![at, key, limit, state, about])));
    }
    let pages = pages.into_iter().map(|(statement, values)| db.fetch_all::<EventRow>(statement, values));
    let mut rows: Vec<EventRow> = try_join_all(pages).await?.into_iter().flatten().collect();
    if let Some(row) = db.fetch_optional::<EventRow>(BY_ID, values![about]).await? {
        let is_in_state = filter.state.is_none_or(|state| row.state == state.as_str());
        rows.extend(Some(row).filter(|row| is_in_state && (row.received_at, row.event_id.as_str()) < (at, key)));
    }
    rows.sort_by(|a, b| (b.received_at, &b.event_id).cmp(&(a.received_at, &a.event_id)));
    rows.dedup_by(|a, b| a.event_id == b.event_id);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    rows.into_iter().map(EventRow::read).collect()
}

/// Finds an event.
pub async fn by_id(db: &Db, event: &EventId) -> Result<Option<EventSummary>, StoreError> {
    db.fetch_optional::<EventRow>(BY_ID, values![event.as_str()]).await?.map(EventRow::read).transpose()
}

/// Filters `events` to those already stored.
pub async fn known(db: &Db, events: &[&str]) -> Result<HashSet<String>, StoreError> {
    let rows = db.fetch_all::<(String,)>(KNOWN.on(db), values![list_of(events)]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A customer without an account, and the number of its unmatched events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedCustomer {
    /// The customer.
    pub customer: CustomerId,
    /// The number of its unmatched events.
    pub events: i64,
}

/// Lists the customers without an account that have unmatched events.
pub async fn unmatched_customers(db: &Db) -> Result<Vec<UnmatchedCustomer>, StoreError> {
    let rows = db.fetch_all::<(String, i64)>(UNMATCHED_CUSTOMERS, values![]).await?;
    let read = |(customer, events): (String, i64)| UnmatchedCustomer { customer: CustomerId::new(customer), events };
    Ok(rows.into_iter().map(read).collect())
}

/// The number of events in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateCount {
    /// The state.
    pub state: EventState,
    /// The number of events, up to [`COUNTED`] and one more.
    pub events: i64,
}

/// Counts the events of each state that has some, by name, up to [`COUNTED`] and one more.
pub async fn count_by_state(db: &Db) -> Result<Vec<StateCount>, StoreError> {
    let mut counts = Vec::new();
    for state in EventState::ALL {
        counts.push(StateCount { state, events: count_of_state(db, state).await? });
    }
    counts.retain(|count| count.events > 0);
    counts.sort_by_key(|count| count.state.as_str());
    Ok(counts)
}

/// Counts the events of a state, up to [`COUNTED`] and one more.
pub async fn count_of_state(db: &Db, state: EventState) -> Result<i64, StoreError> {
    Ok(db.fetch_one::<(i64,)>(statements_of(state).count, values![COUNTED + 1]).await?.0)
}

/// The statements about one state.
struct StateStatements {
    list: &'static str,
    of_type: &'static str,
    count: &'static str,
}

const fn statements_of(state: EventState) -> StateStatements {
    let (list, of_type, count) = match state {
        EventState::Pending => (LIST_PENDING, PENDING_OF_TYPE, COUNT_PENDING),
        EventState::Done => (LIST_DONE, DONE_OF_TYPE, COUNT_DONE),
        EventState::Ignored => (LIST_IGNORED, IGNORED_OF_TYPE, COUNT_IGNORED),
        EventState::Unmatched => (LIST_UNMATCHED, UNMATCHED_OF_TYPE, COUNT_UNMATCHED),
        EventState::Parked => (LIST_PARKED, PARKED_OF_TYPE, COUNT_PARKED),
    };
    StateStatements { list, of_type, count }
}

/// Returns the time at which the oldest pending event was received.
pub async fn oldest_pending(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    Ok(db.fetch_one::<(Option<i64>,)>(OLDEST_PENDING, values![]).await?.0.map(Timestamp))
}

/// The events that wait for Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostponedEvents {
    /// The number of events, up to [`COUNTED`] and one more.
    pub events: i64,
    /// When the oldest was received, in epoch seconds.
    pub since: Option<i64>,
    /// Why the last attempt of the oldest failed.
    pub reason: Option<String>,
}

columns!(PostponedEvents { events, since, reason });

/// Returns the pending events whose last attempts failed because Stripe was unavailable.
pub async fn postponed(db: &Db) -> Result<PostponedEvents, StoreError> {
    db.fetch_one(POSTPONED, values![COUNTED + 1]).await
}

/// Reads an event's signed bytes.
pub async fn payload(db: &Db, event: &EventId) -> Result<Option<String>, StoreError> {
    let row = db.fetch_optional::<(String,)>(PAYLOAD, values![event.as_str()]).await?;
    Ok(row.map(|(payload,)| payload))
}

/// Makes an event due again, whatever its state; a held one stays with its worker. `false` if there is
/// none, or if its type changes nothing here.
pub async fn replay(tx: &mut Tx, event: &EventId, at: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(REPLAY, values![event.as_str(), at.0]).await? > 0)
}

/// Makes every parked event due again, and returns their number.
pub async fn replay_parked(tx: &mut Tx, at: Timestamp) -> Result<u64, StoreError> {
    tx.execute(REPLAY_PARKED, values![at.0]).await
}

/// Erases the bodies of an account's events that are settled or parked: they hold addresses and names. A parked
/// event cannot be applied without its body, so it becomes ignored.
pub async fn erase_payloads(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(ERASE_PAYLOADS, values![account.as_str()]).await.map(drop)
}

/// Does the same for accounts that were closed after `closed_after`, with `limit` events at most, and
/// returns their number: events arrive after an account was closed, too.
pub async fn erase_payloads_of_closed(tx: &mut Tx, closed_after: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(ERASE_PAYLOADS_OF_CLOSED, values![closed_after.0, limit]).await
}

/// Erases the bodies of settled events that were received before this time, `limit` at most, and returns their number.
pub async fn erase_old_payloads(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(ERASE_OLD_PAYLOADS, values![before.0, limit]).await
}

/// Deletes events that were received before this time and are settled or never found an account, `limit` of each
/// state at most, and returns the largest number of one state. Pending and parked events stay.
pub async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let mut most = 0;
    for statement in [PRUNE_DONE, PRUNE_IGNORED, PRUNE_UNMATCHED] {
        most = most.max(tx.execute(statement, values![before.0, limit]).await?);
    }
    Ok(most)
}
