//! Usage: counters, records and days.
//!
//! The counter's row is locked first, and only the lock's holder changes the records, reservations and
//! credits of its account and meter. So a decision made under the lock is exact. Rows are locked in the
//! same order everywhere, one statement reads or writes many rows, and nothing is ever summed
//! (`tests/store/usage.rs`).

use std::sync::LazyLock;

use billing::{AccountId, Meter, Timestamp};

use super::batch::{BatchStatement, CombinedStatement};
use super::columns::Both;
use super::credits::Balance;
use super::value::Value;
use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    COUNTERS_OF_ACCOUNT = "SELECT account_id, meter, window_start, window_end, subscription_id, included, used, reserved, \
        from_credits, held_credits, overage, held_overage FROM usage_counter WHERE account_id = $1 AND (window_start = $2 \
        OR (window_start < $2 AND window_start > $3 AND window_end > $2 AND subscription_id = $4))";
    DELETE_RESERVED = "DELETE FROM usage_record WHERE account_id = $1 AND idempotency_key = $2 AND reservation_id = $3";
    EXPIRED = "SELECT account_id, idempotency_key, meter, window_start, quantity, from_credits, overage, reservation_id \
        FROM usage_record WHERE state = 'held' AND expires_at <= $1 \
        ORDER BY expires_at, idempotency_key, account_id LIMIT $2 OFFSET $3";
    EXPIRED_OF = "SELECT account_id, idempotency_key, meter, window_start, quantity, from_credits, overage, reservation_id \
        FROM usage_record WHERE state = 'held' AND expires_at <= $1 AND account_id = $2 AND meter = $3 \
        AND window_start = $4 ORDER BY expires_at LIMIT 64";
    DAYS = "SELECT day, meter, source, used FROM usage_day WHERE account_id = $1 AND day >= $2 AND day < $3 \
        ORDER BY day, meter, source";
    RESPONSE = "SELECT body FROM idempotent_response WHERE account_id = $1 AND idempotency_key = $2";
    DELETE_RESPONSES = "DELETE FROM idempotent_response WHERE account_id = $1";
    PRUNE_RESPONSES = "DELETE FROM idempotent_response WHERE (account_id, idempotency_key) IN \
        (SELECT account_id, idempotency_key FROM idempotent_response WHERE created_at < $1 LIMIT $2)";
    PRUNE_RECORDS = "DELETE FROM usage_record WHERE (account_id, idempotency_key) IN (SELECT account_id, idempotency_key \
        FROM usage_record WHERE state = 'counted' AND recorded_at < $1 ORDER BY recorded_at LIMIT $2)";
}

/// PostgreSQL only: SQLite has one writer at a time.
const LOCK: &str = " FOR UPDATE";
const LOCK_COUNTERS: &str = " FOR UPDATE OF c";

static CREATE_COUNTERS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "CREATE_COUNTERS",
        "INSERT INTO usage_counter \
        (account_id, meter, window_start, window_end, subscription_id, included, used, reserved)",
        "$text, $text, $bigint, $bigint, $text, $bigint, $bigint, 0",
        " ON CONFLICT (account_id, meter, window_start) DO NOTHING",
    )
});

fn counters(name: &'static str, lock: &str) -> BatchStatement {
    BatchStatement::new(
        name,
        "SELECT c.account_id, c.meter, c.window_start, c.window_end, c.subscription_id, c.included, c.used, c.reserved, \
        c.from_credits, c.held_credits, c.overage, c.held_overage, COALESCE(b.granted - b.consumed, 0) AS credits \
        FROM usage_counter c LEFT JOIN credit_balance b ON b.account_id = c.account_id AND b.meter = c.meter \
        WHERE (c.account_id, c.meter, c.window_start) IN (",
        "$text, $text, $bigint",
        &format!(") ORDER BY c.account_id, c.meter, c.window_start{lock}"),
    )
}

fn balances(name: &'static str, lock: &str) -> BatchStatement {
    BatchStatement::new(
        name,
        "SELECT account_id, meter, granted, consumed FROM credit_balance WHERE (account_id, meter) IN (",
        "$text, $text",
        &format!(") ORDER BY account_id, meter{lock}"),
    )
}

static COUNTERS: LazyLock<BatchStatement> = LazyLock::new(|| counters("COUNTERS", ""));
static COUNTERS_LOCKED: LazyLock<BatchStatement> = LazyLock::new(|| counters("COUNTERS_LOCKED", LOCK_COUNTERS));
static BALANCES: LazyLock<BatchStatement> = LazyLock::new(|| balances("BALANCES", ""));
static BALANCES_LOCKED: LazyLock<BatchStatement> = LazyLock::new(|| balances("BALANCES_LOCKED", LOCK));

// A window is described by its own counter and by those of windows of the same subscription that it has
// cut short.
static COUNTERS_OF_WINDOWS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "COUNTERS_OF_WINDOWS",
        "WITH given (account_id, meter, described, since, subscription_id) AS (",
        "$text, $text, $bigint, $bigint, $text",
        ") SELECT given.described, c.account_id, c.meter, c.window_start, c.window_end, c.subscription_id, c.included, \
        c.used, c.reserved, c.from_credits, c.held_credits, c.overage, c.held_overage FROM given JOIN usage_counter c \
        ON c.account_id = given.account_id AND c.meter = given.meter AND (c.window_start = given.described \
        OR (c.window_start < given.described AND c.window_start > given.since AND c.window_end > given.described \
        AND c.subscription_id = given.subscription_id))",
    )
});

static RECORDS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "RECORDS",
        "SELECT account_id, idempotency_key, meter, quantity, state, fingerprint, window_start, from_credits, overage, \
        reservation_id, source, expires_at FROM usage_record WHERE (account_id, idempotency_key) IN (",
        "$text, $text",
        ")",
    )
});

static INSERT_RECORDS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "INSERT_RECORDS",
        "INSERT INTO usage_record (account_id, idempotency_key, meter, quantity, recorded_at, state, window_start, \
        from_credits, overage, fingerprint, source, metadata, reservation_id, expires_at)",
        "$text, $text, $text, $bigint, $bigint, $text, $bigint, $bigint, $bigint, $text, $text, $text, $text, $bigint",
        "",
    )
});

// The rows are locked, so the values read for the decision are still current.
static WRITE_COUNTERS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WRITE_COUNTERS",
        "INSERT INTO usage_counter (account_id, meter, window_start, window_end, subscription_id, included, used, reserved, \
        from_credits, held_credits, overage, held_overage)",
        "$text, $text, $bigint, $bigint, $text, $bigint, $bigint, $bigint, $bigint, $bigint, $bigint, $bigint",
        " ON CONFLICT (account_id, meter, window_start) DO UPDATE SET included = excluded.included, used = excluded.used, \
        reserved = excluded.reserved, from_credits = excluded.from_credits, held_credits = excluded.held_credits, \
        overage = excluded.overage, held_overage = excluded.held_overage",
    )
});

static COUNT_HELD: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "COUNT_HELD",
        "WITH held (account_id, idempotency_key, reservation_id, recorded_at, metadata) AS (",
        "$text, $text, $text, $bigint, $text",
        ") UPDATE usage_record SET state = 'counted', reservation_id = NULL, expires_at = NULL, \
        recorded_at = held.recorded_at, metadata = held.metadata FROM held \
        WHERE usage_record.account_id = held.account_id AND usage_record.idempotency_key = held.idempotency_key \
        AND usage_record.reservation_id = held.reservation_id",
    )
});

static KEEP_RESPONSES: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "KEEP_RESPONSES",
        "INSERT INTO idempotent_response (account_id, idempotency_key, body, created_at)",
        "$text, $text, $text, $bigint",
        " ON CONFLICT (account_id, idempotency_key) DO UPDATE SET body = excluded.body, created_at = excluded.created_at",
    )
});

static CONSUME: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "CONSUME",
        "INSERT INTO credit_balance (account_id, meter, granted, consumed)",
        "$text, $text, 0, $bigint",
        " ON CONFLICT (account_id, meter) DO UPDATE SET consumed = credit_balance.consumed + excluded.consumed",
    )
});

static COUNT_DAYS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "COUNT_DAYS",
        "INSERT INTO usage_day (account_id, meter, day, source, used)",
        "$text, $text, $bigint, $text, $bigint",
        " ON CONFLICT (account_id, day, meter, source) DO UPDATE SET used = usage_day.used + excluded.used",
    )
});

/// Everything that a batch of usage writes, except deletions: the order of [`Effects::rows`].
static WRITE: LazyLock<CombinedStatement> = LazyLock::new(|| {
    let parts: Vec<&'static BatchStatement> =
        vec![&KEEP_RESPONSES, &INSERT_RECORDS, &WRITE_COUNTERS, &CONSUME, &COUNT_DAYS, &COUNT_HELD];
    CombinedStatement::new("WRITE", parts)
});

/// Returns the batch statements. Those that lock are for PostgreSQL only.
pub(super) fn batches(db: &Db) -> Vec<&'static BatchStatement> {
    let mut all: Vec<&'static BatchStatement> = vec![
        &CREATE_COUNTERS,
        &COUNTERS,
        &COUNTERS_OF_WINDOWS,
        &BALANCES,
        &RECORDS,
        &INSERT_RECORDS,
        &WRITE_COUNTERS,
        &COUNT_HELD,
        &KEEP_RESPONSES,
        &CONSUME,
        &COUNT_DAYS,
    ];
    if db.is_shared() {
        all.extend([&*COUNTERS_LOCKED, &*BALANCES_LOCKED]);
    }
    all
}

/// Returns the statements that combine others.
pub(super) fn combined(db: &Db) -> Vec<(&'static str, &'static str)> {
    WRITE.forms(db)
}

/// One meter of an account in one window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// The account whose usage is counted.
    pub account: AccountId,
    /// The meter that counts it.
    pub meter: Meter,
    /// The start of the window.
    pub window: Timestamp,
}

/// The count of one meter in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The account whose usage is counted.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// The start of the window, in epoch seconds.
    pub window_start: i64,
    /// Its end, unless it is cut short.
    pub window_end: i64,
    /// The subscription that the window belongs to; none on the free plan.
    pub subscription_id: Option<String>,
    /// The limit when usage was last counted; `i64::MAX` for none.
    pub included: i64,
    /// Units of the limit used.
    pub used: i64,
    /// Units of the limit reserved.
    pub reserved: i64,
    /// Credits used beyond the limit.
    pub from_credits: i64,
    /// Credits held by reservations.
    pub held_credits: i64,
    /// Units used beyond limit and credits, to be billed.
    pub overage: i64,
    /// Overage held by reservations.
    pub held_overage: i64,
}

columns!(Counter {
    account_id,
    meter,
    window_start,
    window_end,
    subscription_id,
    included,
    used,
    reserved,
    from_credits,
    held_credits,
    overage,
    held_overage
});

/// A usage event under its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The account that sent the event.
    pub account_id: String,
    /// The caller's key.
    pub idempotency_key: String,
    /// The meter's key.
    pub meter: String,
    /// The number of units.
    pub quantity: i64,
    /// `held` or `counted`.
    pub state: String,
    /// The request's fingerprint.
    pub fingerprint: String,
    /// The start of its window, in epoch seconds.
    pub window_start: i64,
    /// The number of units paid with credits.
    pub from_credits: i64,
    /// The number of units billed as overage.
    pub overage: i64,
    /// The reservation, while it is held.
    pub reservation_id: Option<String>,
    /// The source of the usage, such as an API key's id; may be empty.
    pub source: String,
    /// When the reservation expires, in epoch seconds.
    pub expires_at: Option<i64>,
}

columns!(UsageRecord {
    account_id,
    idempotency_key,
    meter,
    quantity,
    state,
    fingerprint,
    window_start,
    from_credits,
    overage,
    reservation_id,
    source,
    expires_at
});

impl UsageRecord {
    /// Returns whether it is a reservation whose work is in progress.
    pub fn is_held(&self) -> bool {
        self.state == "held"
    }

    /// Returns the units of the allowance.
    pub const fn included(&self) -> i64 {
        self.quantity - self.from_credits - self.overage
    }
}

/// A record to be inserted.
#[derive(Clone, Debug)]
pub struct NewRecord<'a> {
    /// The record to insert.
    pub record: UsageRecord,
    /// When it is recorded.
    pub at: Timestamp,
    /// JSON about the work.
    pub metadata: Option<&'a str>,
}

/// A reservation that has expired and still holds its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredReservation {
    /// The account whose units it holds.
    pub account_id: String,
    /// The caller's key.
    pub idempotency_key: String,
    /// The meter's key.
    pub meter: String,
    /// The start of its window, in epoch seconds.
    pub window_start: i64,
    /// The number of units.
    pub quantity: i64,
    /// The number of units paid with credits.
    pub from_credits: i64,
    /// The number of units billed as overage.
    pub overage: i64,
    /// The id of the reservation, which tells it from a later one under the same key.
    pub reservation_id: String,
}

columns!(ExpiredReservation {
    account_id,
    idempotency_key,
    meter,
    window_start,
    quantity,
    from_credits,
    overage,
    reservation_id
});

impl ExpiredReservation {
    /// Returns the units of the allowance.
    pub const fn included(&self) -> i64 {
        self.quantity - self.from_credits - self.overage
    }
}

/// Reads the counters of the window that starts at `window` and of windows of the same subscription that
/// it has cut short. A window is a month at most, so none that starts before `since` reaches into it.
pub async fn counters_of(
    db: &Db,
    account: &AccountId,
    window: Timestamp,
    since: Timestamp,
    subscription: Option<&str>,
) -> Result<Vec<Counter>, StoreError> {
    db.fetch_all(COUNTERS_OF_ACCOUNT, values![account.as_str(), window.0, since.0, subscription]).await
}

/// A window whose counters are wanted.
#[derive(Clone, Copy, Debug)]
pub struct WindowOf<'a> {
    /// The account, the meter and the start of the window.
    pub key: &'a CounterKey,
    /// The subscription that the window belongs to; none on the free plan.
    pub subscription: Option<&'a str>,
    /// The time before which no window reaches into it.
    pub since: Timestamp,
}

struct Described {
    described: i64,
}

columns!(Described { described });

/// Returns the counters that describe each of these windows, as [`counters_of`], with the start of the window.
pub async fn counters_of_windows(tx: &mut Tx, windows: &[WindowOf<'_>]) -> Result<Vec<(i64, Counter)>, StoreError> {
    let rows = windows.iter().map(|WindowOf { key, subscription, since }| {
        values![key.account.as_str(), key.meter.as_str(), key.window.0, since.0, *subscription]
    });
    let found = COUNTERS_OF_WINDOWS.fetch_all::<Both<Described, Counter>>(tx, rows.collect()).await?;
    Ok(found.into_iter().map(|Both(window, counter)| (window.described, counter)).collect())
}

/// Creates the counters that do not exist yet, with their initial usage.
pub async fn create_counters(tx: &mut Tx, counters: &[Counter]) -> Result<(), StoreError> {
    let rows = counters.iter().map(|row| {
        values![
            row.account_id.as_str(),
            row.meter.as_str(),
            row.window_start,
            row.window_end,
            row.subscription_id.as_deref(),
            row.included,
            row.used
        ]
    });
    CREATE_COUNTERS.execute(tx, rows.collect()).await.map(drop)
}

struct CreditsLeft {
    credits: i64,
}

columns!(CreditsLeft { credits });

/// Locks counters until the transaction ends, and returns each with the credits left of its account and meter. The
/// credits are not locked, so they may be outdated: see [`lock_balances`]. `keys` must be sorted.
pub async fn lock_counters(tx: &mut Tx, keys: &[CounterKey]) -> Result<Vec<(Counter, i64)>, StoreError> {
    let statement = if is_shared(tx) { &*COUNTERS_LOCKED } else { &*COUNTERS };
    let rows = keys.iter().map(|key| values![key.account.as_str(), key.meter.as_str(), key.window.0]);
    let found = statement.fetch_all::<Both<Counter, CreditsLeft>>(tx, rows.collect()).await?;
    Ok(found.into_iter().map(|Both(counter, CreditsLeft { credits })| (counter, credits)).collect())
}

/// Locks the credit balances of these accounts and meters, as [`lock_counters`]. A missing balance is
/// zero.
pub async fn lock_balances(tx: &mut Tx, keys: &[(AccountId, Meter)]) -> Result<Vec<Balance>, StoreError> {
    let statement = if is_shared(tx) { &*BALANCES_LOCKED } else { &*BALANCES };
    let rows = keys.iter().map(|(account, meter)| values![account.as_str(), meter.as_str()]);
    statement.fetch_all(tx, rows.collect()).await
}

const fn is_shared(tx: &Tx) -> bool {
    matches!(tx, Tx::Postgres(_))
}

/// Reads the records under these keys, each an account and an idempotency key.
pub async fn records(tx: &mut Tx, keys: &[(&str, &str)]) -> Result<Vec<UsageRecord>, StoreError> {
    RECORDS.fetch_all(tx, keys.iter().map(|(account, key)| values![*account, *key]).collect()).await
}

/// A reservation to be counted.
#[derive(Clone, Copy, Debug)]
pub struct CountedReservation<'a> {
    /// The account.
    pub account: &'a str,
    /// The record's idempotency key.
    pub key: &'a str,
    /// The reservation's id.
    pub reservation: &'a str,
    /// When it is counted.
    pub at: Timestamp,
    /// JSON about the work.
    pub metadata: Option<&'a str>,
}

/// The response of committed work, to be kept under its key.
#[derive(Clone, Copy, Debug)]
pub struct KeptResponse<'a> {
    /// The account.
    pub account: &'a str,
    /// The record's idempotency key.
    pub key: &'a str,
    /// The response.
    pub body: &'a str,
    /// When it is stored.
    pub at: Timestamp,
}

/// What a batch of usage writes. No two members write the same row.
#[derive(Clone, Debug, Default)]
pub struct Effects<'a> {
    /// Reservations that become counted usage.
    pub counted: Vec<CountedReservation<'a>>,
    /// Responses to keep.
    pub responses: Vec<KeptResponse<'a>>,
    /// New records, each under a new key.
    pub records: Vec<NewRecord<'a>>,
    /// Locked counters, each at most once.
    pub counters: Vec<Counter>,
    /// Changes to the consumed credits, at most one per account and meter.
    pub consumed: Vec<Consumption<'a>>,
    /// Usage to add to days, at most once per account, meter, day and source.
    pub days: Vec<DailyUsage<'a>>,
}

impl Effects<'_> {
    /// Returns the rows of each part of [`WRITE`].
    fn rows(&self) -> Vec<Vec<Vec<Value>>> {
        let counted =
            self.counted.iter().map(|row| values![row.account, row.key, row.reservation, row.at.0, row.metadata]);
        let responses = self.responses.iter().map(|row| values![row.account, row.key, row.body, row.at.0]);
        let records = self.records.iter().map(|NewRecord { record, at, metadata }| {
            values![
                record.account_id.as_str(),
                record.idempotency_key.as_str(),
                record.meter.as_str(),
                record.quantity,
                at.0,
                record.state.as_str(),
                record.window_start,
                record.from_credits,
                record.overage,
                record.fingerprint.as_str(),
                record.source.as_str(),
                *metadata,
                record.reservation_id.as_deref(),
                record.expires_at
            ]
        });
        let counters = self.counters.iter().map(|row| {
            values![
                row.account_id.as_str(),
                row.meter.as_str(),
                row.window_start,
                row.window_end,
                row.subscription_id.as_deref(),
                row.included,
                row.used,
                row.reserved,
                row.from_credits,
                row.held_credits,
                row.overage,
                row.held_overage
            ]
        });
        let consumed = self.consumed.iter().map(|row| values![row.account, row.meter.as_str(), row.units]);
        let days =
            self.days.iter().map(|row| values![row.account, row.meter.as_str(), row.day.0, row.source, row.units]);
        vec![
            responses.collect(),
            records.collect(),
            counters.collect(),
            consumed.collect(),
            days.collect(),
            counted.collect(),
        ]
    }
}

/// Writes the effects of a batch of usage, and returns the number of reservations counted: fewer than given if one
/// no longer exists.
///
/// # Errors
/// If one of the new keys has since been used for another meter.
pub async fn write(tx: &mut Tx, effects: &Effects<'_>) -> Result<u64, StoreError> {
    WRITE.execute(tx, effects.rows()).await
}

/// Deletes a reservation, so that its key is free again; `false` if it no longer exists.
pub async fn delete_reserved(tx: &mut Tx, account: &str, key: &str, reservation: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE_RESERVED, values![account, key, reservation]).await? > 0)
}

/// A change to the consumed credits of an account; negative for released units.
#[derive(Clone, Copy, Debug)]
pub struct Consumption<'a> {
    /// The account whose credits are consumed.
    pub account: &'a str,
    /// The meter that the credits are for.
    pub meter: Meter,
    /// The number of units.
    pub units: i64,
}

/// Usage of one day.
#[derive(Clone, Copy, Debug)]
pub struct DailyUsage<'a> {
    /// The account that used the units.
    pub account: &'a str,
    /// The meter that counted them.
    pub meter: Meter,
    /// Midnight UTC.
    pub day: Timestamp,
    /// The source of the usage; may be empty.
    pub source: &'a str,
    /// The number of units.
    pub units: i64,
}

/// Returns the expired reservations after the `skip` oldest ones, oldest first.
pub async fn expired(
    db: &Db,
    now: Timestamp,
    limit: i64,
    skip: i64,
) -> Result<Vec<Result<ExpiredReservation, StoreError>>, StoreError> {
    db.fetch_each(EXPIRED, values![now.0, limit, skip]).await
}

/// Reads those of one counter, inside a transaction that has locked it. One that cannot be read is left out.
pub async fn expired_of(tx: &mut Tx, key: &CounterKey, now: Timestamp) -> Result<Vec<ExpiredReservation>, StoreError> {
    let values = values![now.0, key.account.as_str(), key.meter.as_str(), key.window.0];
    Ok(tx.fetch_each(EXPIRED_OF, values).await?.into_iter().flatten().collect())
}

/// One day's usage in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRow {
    /// Midnight UTC, in epoch seconds.
    pub day: i64,
    /// The meter's key.
    pub meter: String,
    /// The source of the usage, such as an API key's id; empty for the account itself.
    pub source: String,
    /// The number of units.
    pub used: i64,
}

columns!(DayRow { day, meter, source, used });

/// Reads the usage of each day in `[from, to)`, oldest first.
pub async fn days(db: &Db, account: &AccountId, from: Timestamp, to: Timestamp) -> Result<Vec<DayRow>, StoreError> {
    db.fetch_all(DAYS, values![account.as_str(), from.0, to.0]).await
}

/// Reads the response stored under a key.
pub async fn response(db: &Db, account: &AccountId, key: &str) -> Result<Option<String>, StoreError> {
    let row = db.fetch_optional::<(String,)>(RESPONSE, values![account.as_str(), key]).await?;
    Ok(row.map(|(body,)| body))
}

/// Deletes at most `limit` responses older than `before`, and returns their number.
pub async fn prune_responses(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(PRUNE_RESPONSES, values![before.0, limit]).await
}

/// Deletes at most `limit` counted records older than `before`, and returns their number.
pub async fn prune_records(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(PRUNE_RECORDS, values![before.0, limit]).await
}

/// Deletes the responses that are kept for an account.
pub async fn delete_responses(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(DELETE_RESPONSES, values![account.as_str()]).await.map(drop)
}
