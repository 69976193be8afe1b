//! Usage: counters, records and days.
//!
//! The counter's row is locked first, and whoever holds it alone changes what belongs to its
//! account and meter: records, holds and credits. So whoever reads under the lock decides
//! rightly. Rows are locked in one order everywhere. Many rows are read and written by one
//! statement. Nothing is ever summed (`tests/store/usage.rs`).

use std::sync::LazyLock;

use billing::{AccountId, Meter, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};
use super::many_rows::{ManyRows, query_rows};

statements! {
    COUNTERS_OF_ACCOUNT = "SELECT account_id, meter, window_start, window_end, subscription_id, included, used, reserved, \
        from_credits, held_credits, overage FROM usage_counter WHERE account_id = $1 AND (window_start = $2 \
        OR (window_start < $2 AND window_start > $3 AND window_end > $2 AND subscription_id = $4))";
    COUNT_HELD = "UPDATE usage_record SET state = 'counted', holder = NULL, expires_at = NULL, recorded_at = $4, \
        metadata = $5 WHERE account_id = $1 AND idempotency_key = $2 AND holder = $3";
    DELETE_HELD = "DELETE FROM usage_record WHERE account_id = $1 AND idempotency_key = $2 AND holder = $3";
    EXPIRED = "SELECT account_id, idempotency_key, meter, window_start, quantity, from_credits, overage, holder \
        FROM usage_record WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
    EXPIRED_OF = "SELECT account_id, idempotency_key, meter, window_start, quantity, from_credits, overage, holder \
        FROM usage_record WHERE state = 'held' AND expires_at <= $1 AND account_id = $2 AND meter = $3 \
        AND window_start = $4 ORDER BY expires_at LIMIT 64";
    DAYS = "SELECT day, meter, source, used FROM usage_day WHERE account_id = $1 AND day >= $2 AND day < $3 \
        ORDER BY day, meter, source";
    INSERT_ANSWER = "INSERT INTO api_answer (account_id, idempotency_key, body, answered_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account_id, idempotency_key) DO UPDATE SET body = excluded.body, answered_at = excluded.answered_at";
    ANSWER = "SELECT body FROM api_answer WHERE account_id = $1 AND idempotency_key = $2";
    PRUNE_ANSWERS = "DELETE FROM api_answer WHERE (account_id, idempotency_key) IN \
        (SELECT account_id, idempotency_key FROM api_answer WHERE answered_at < $1 LIMIT $2)";
    PRUNE_RECORDS = "DELETE FROM usage_record WHERE (account_id, idempotency_key) IN (SELECT account_id, idempotency_key \
        FROM usage_record WHERE state = 'counted' AND recorded_at < $1 ORDER BY recorded_at LIMIT $2)";
    RECORDS_OF = "SELECT idempotency_key, state, quantity, metadata FROM usage_record WHERE account_id = $1 AND meter = $2 \
        ORDER BY recorded_at DESC, idempotency_key DESC LIMIT $3";
}

/// PostgreSQL's alone: SQLite lets one writer in at a time.
const LOCK: &str = " FOR UPDATE";

static CREATE_COUNTERS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "CREATE_COUNTERS",
        "INSERT INTO usage_counter \
        (account_id, meter, window_start, window_end, subscription_id, included, used, reserved)",
        "$text, $text, $bigint, $bigint, $text, $bigint, $bigint, 0",
        " ON CONFLICT (account_id, meter, window_start) DO NOTHING",
    )
});

fn counters(name: &'static str, lock: &str) -> ManyRows {
    ManyRows::new(
        name,
        "SELECT account_id, meter, window_start, window_end, subscription_id, included, used, reserved, from_credits, \
        held_credits, overage FROM usage_counter WHERE (account_id, meter, window_start) IN (",
        "$text, $text, $bigint",
        &format!(") ORDER BY account_id, meter, window_start{lock}"),
    )
}

fn balances(name: &'static str, lock: &str) -> ManyRows {
    ManyRows::new(
        name,
        "SELECT account_id, meter, granted, consumed FROM credit_balance WHERE (account_id, meter) IN (",
        "$text, $text",
        &format!(") ORDER BY account_id, meter{lock}"),
    )
}

static COUNTERS: LazyLock<ManyRows> = LazyLock::new(|| counters("COUNTERS", ""));
static COUNTERS_LOCKED: LazyLock<ManyRows> = LazyLock::new(|| counters("COUNTERS_LOCKED", LOCK));
static BALANCES: LazyLock<ManyRows> = LazyLock::new(|| balances("BALANCES", ""));
static BALANCES_LOCKED: LazyLock<ManyRows> = LazyLock::new(|| balances("BALANCES_LOCKED", LOCK));

static RECORDS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "RECORDS",
        "SELECT account_id, idempotency_key, meter, quantity, state, fingerprint, window_start, from_credits, overage, \
        holder, source, expires_at FROM usage_record WHERE (account_id, idempotency_key) IN (",
        "$text, $text",
        ")",
    )
});

static INSERT_RECORDS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "INSERT_RECORDS",
        "INSERT INTO usage_record (account_id, idempotency_key, meter, quantity, recorded_at, state, window_start, \
        from_credits, overage, fingerprint, source, metadata, holder, expires_at)",
        "$text, $text, $text, $bigint, $bigint, $text, $bigint, $bigint, $bigint, $text, $text, $text, $text, $bigint",
        "",
    )
});

// The rows are held: what is written is what was read and decided on.
static WRITE_COUNTERS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "WRITE_COUNTERS",
        "INSERT INTO usage_counter (account_id, meter, window_start, window_end, subscription_id, included, used, reserved, \
        from_credits, held_credits, overage)",
        "$text, $text, $bigint, $bigint, $text, $bigint, $bigint, $bigint, $bigint, $bigint, $bigint",
        " ON CONFLICT (account_id, meter, window_start) DO UPDATE SET included = excluded.included, used = excluded.used, \
        reserved = excluded.reserved, from_credits = excluded.from_credits, held_credits = excluded.held_credits, \
        overage = excluded.overage",
    )
});

static CONSUME: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "CONSUME",
        "INSERT INTO credit_balance (account_id, meter, granted, consumed)",
        "$text, $text, 0, $bigint",
        " ON CONFLICT (account_id, meter) DO UPDATE SET consumed = credit_balance.consumed + excluded.consumed",
    )
});

static COUNT_DAYS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(
        "COUNT_DAYS",
        "INSERT INTO usage_day (account_id, meter, day, source, used)",
        "$text, $text, $bigint, $text, $bigint",
        " ON CONFLICT (account_id, day, meter, source) DO UPDATE SET used = usage_day.used + excluded.used",
    )
});

/// The statements of many rows, for the test that prepares them all. Those that lock are
/// PostgreSQL's alone.
pub(crate) fn many(db: &Db) -> Vec<&'static ManyRows> {
    let mut all: Vec<&'static ManyRows> =
        vec![&CREATE_COUNTERS, &COUNTERS, &BALANCES, &RECORDS, &INSERT_RECORDS, &WRITE_COUNTERS, &CONSUME, &COUNT_DAYS];
    if matches!(db, Db::Postgres(_)) {
        all.extend([&*COUNTERS_LOCKED, &*BALANCES_LOCKED]);
    }
    all
}

/// One meter of an account in one window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// Whose.
    pub account: AccountId,
    /// Of what: the meter's key, by which rows are locked in order.
    pub meter: &'static str,
    /// The window's name.
    pub window: Timestamp,
}

impl CounterKey {
    /// The counter of a meter in the window that begins at `window`.
    pub fn new(account: &AccountId, meter: Meter, window: Timestamp) -> Self {
        Self { account: account.clone(), meter: meter.as_str(), window }
    }
}

/// What is counted of one meter in one window.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Counter {
    /// Whose.
    pub account_id: String,
    /// The meter's key.
    pub meter: String,
    /// The window's name.
    pub window_start: i64,
    /// When it ends, if nothing cuts it short.
    pub window_end: i64,
    /// Whose window it is; none on the free plan.
    pub subscription_id: Option<String>,
    /// The limit when it was last counted; the largest number for none.
    pub included: i64,
    /// Used of the limit.
    pub used: i64,
    /// Held of the limit.
    pub reserved: i64,
    /// Used beyond the limit, out of credits.
    pub from_credits: i64,
    /// Credits held.
    pub held_credits: i64,
    /// Used beyond both, to be billed.
    pub overage: i64,
}

/// What is known under a key.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Record {
    /// Whose.
    pub account_id: String,
    /// The caller's key.
    pub idempotency_key: String,
    /// The meter's key.
    pub meter: String,
    /// How many units.
    pub quantity: i64,
    /// `held` or `counted`.
    pub state: String,
    /// Of the request.
    pub fingerprint: String,
    /// In which window.
    pub window_start: i64,
    /// How many of the units are credits.
    pub from_credits: i64,
    /// How many are billed.
    pub overage: i64,
    /// The reservation, while it is held.
    pub holder: Option<String>,
    /// The API key that was used, if any.
    pub source: String,
    /// Until when it is held.
    pub expires_at: Option<i64>,
}

impl Record {
    /// Whether it waits for its work to end.
    pub fn is_held(&self) -> bool {
        self.state == "held"
    }

    /// Units of the allowance.
    pub const fn included(&self) -> i64 {
        self.quantity - self.from_credits - self.overage
    }
}

/// A record to be.
#[derive(Clone, Debug)]
pub struct NewRecord<'a> {
    /// What will be known of it.
    pub record: Record,
    /// When it is written down.
    pub at: Timestamp,
    /// JSON, about the work.
    pub metadata: Option<&'a str>,
}

/// A hold whose time is over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ExpiredHold {
    /// Whose.
    pub account_id: String,
    /// The caller's key.
    pub idempotency_key: String,
    /// The meter's key.
    pub meter: String,
    /// In which window.
    pub window_start: i64,
    /// How many units.
    pub quantity: i64,
    /// How many of them are credits.
    pub from_credits: i64,
    /// How many are billed.
    pub overage: i64,
    /// The reservation.
    pub holder: String,
}

/// The counters that say how things stand in the window that begins at `window`: its own, and those
/// of windows of the same subscription that it has cut short. A window is a month at most, so
/// nothing older than `since` reaches into it.
///
/// # Errors
/// The database failed.
pub async fn counters_of(
    db: &Db,
    account: &AccountId,
    window: Timestamp,
    since: Timestamp,
    subscription: Option<&str>,
) -> Result<Vec<Counter>, StoreError> {
    query!(Db: db, fetch_all as Counter, COUNTERS_OF_ACCOUNT, account.as_str(), window.0, since.0, subscription)
}

/// Makes the counters that are not there yet, with what they begin with.
///
/// # Errors
/// The database failed.
pub async fn create_counters(tx: &mut Tx, counters: &[Counter]) -> Result<(), StoreError> {
    for (sql, rows) in CREATE_COUNTERS.split(tx, counters) {
        query_rows!(
            &mut *tx,
            execute,
            sql,
            rows,
            |row| row.account_id.as_str(),
            row.meter.as_str(),
            row.window_start,
            row.window_end,
            row.subscription_id.as_deref(),
            row.included,
            row.used
        )?;
    }
    Ok(())
}

/// Takes counters, so that nobody else changes them until the transaction ends. `keys` must be sorted.
///
/// # Errors
/// The database failed.
pub async fn take_counters(tx: &mut Tx, keys: &[CounterKey]) -> Result<Vec<Counter>, StoreError> {
    let mut all = Vec::with_capacity(keys.len());
    let statement = match tx {
        Tx::Sqlite(_) => &*COUNTERS,
        Tx::Postgres(_) => &*COUNTERS_LOCKED,
    };
    for (sql, rows) in statement.split(tx, keys) {
        all.extend(query_rows!(
            &mut *tx,
            fetch_all as Counter,
            sql,
            rows,
            |key| key.account.as_str(),
            key.meter,
            key.window.0
        )?);
    }
    Ok(all)
}

/// Takes the credit balances of these accounts and meters, as [`take_counters`]: account, meter's
/// key, granted, consumed. One that is not there has nothing.
///
/// # Errors
/// The database failed.
pub async fn take_balances(
    tx: &mut Tx,
    keys: &[(AccountId, &'static str)],
) -> Result<Vec<(String, String, i64, i64)>, StoreError> {
    let mut all = Vec::new();
    let statement = match tx {
        Tx::Sqlite(_) => &*BALANCES,
        Tx::Postgres(_) => &*BALANCES_LOCKED,
    };
    for (sql, rows) in statement.split(tx, keys) {
        let read =
            query_rows!(&mut *tx, fetch_all as (String, String, i64, i64), sql, rows, |key| key.0.as_str(), key.1)?;
        all.extend(read);
    }
    Ok(all)
}

/// What is known under these keys of accounts.
///
/// # Errors
/// The database failed.
pub async fn records(tx: &mut Tx, keys: &[(&str, &str)]) -> Result<Vec<Record>, StoreError> {
    let mut all = Vec::new();
    for (sql, rows) in RECORDS.split(tx, keys) {
        all.extend(query_rows!(&mut *tx, fetch_all as Record, sql, rows, |key| key.0, key.1)?);
    }
    Ok(all)
}

/// Writes records down.
///
/// # Errors
/// The database failed, or one of the keys was taken meanwhile for another meter.
pub async fn insert_records(tx: &mut Tx, records: &[NewRecord<'_>]) -> Result<(), StoreError> {
    for (sql, rows) in INSERT_RECORDS.split(tx, records) {
        query_rows!(
            &mut *tx,
            execute,
            sql,
            rows,
            |row| row.record.account_id.as_str(),
            row.record.idempotency_key.as_str(),
            row.record.meter.as_str(),
            row.record.quantity,
            row.at.0,
            row.record.state.as_str(),
            row.record.window_start,
            row.record.from_credits,
            row.record.overage,
            row.record.fingerprint.as_str(),
            row.record.source.as_str(),
            row.metadata,
            row.record.holder.as_deref(),
            row.record.expires_at
        )?;
    }
    Ok(())
}

/// Turns a hold into use.
///
/// # Errors
/// The database failed.
pub async fn count_held(
    tx: &mut Tx,
    account: &str,
    key: &str,
    holder: &str,
    at: Timestamp,
    metadata: Option<&str>,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, COUNT_HELD, account, key, holder, at.0, metadata).map(drop)
}

/// Lets go of a hold; its key is free again.
///
/// # Errors
/// The database failed.
pub async fn delete_held(tx: &mut Tx, account: &str, key: &str, holder: &str) -> Result<(), StoreError> {
    query!(Tx: tx, execute, DELETE_HELD, account, key, holder).map(drop)
}

/// Writes counters that were taken, no two of the same.
///
/// # Errors
/// The database failed.
pub async fn write_counters(tx: &mut Tx, counters: &[Counter]) -> Result<(), StoreError> {
    for (sql, rows) in WRITE_COUNTERS.split(tx, counters) {
        query_rows!(
            &mut *tx,
            execute,
            sql,
            rows,
            |row| row.account_id.as_str(),
            row.meter.as_str(),
            row.window_start,
            row.window_end,
            row.subscription_id.as_deref(),
            row.included,
            row.used,
            row.reserved,
            row.from_credits,
            row.held_credits,
            row.overage
        )?;
    }
    Ok(())
}

/// Moves what is consumed of credits: account, meter's key, by how much. No two of the same.
///
/// # Errors
/// The database failed.
pub async fn consume(tx: &mut Tx, moves: &[(&str, &str, i64)]) -> Result<(), StoreError> {
    for (sql, rows) in CONSUME.split(tx, moves) {
        query_rows!(&mut *tx, execute, sql, rows, |row| row.0, row.1, row.2)?;
    }
    Ok(())
}

/// Adds to days: account, meter's key, midnight, source, units. No two of the same.
///
/// # Errors
/// The database failed.
pub async fn count_days(tx: &mut Tx, days: &[(&str, &str, i64, &str, i64)]) -> Result<(), StoreError> {
    for (sql, rows) in COUNT_DAYS.split(tx, days) {
        query_rows!(&mut *tx, execute, sql, rows, |row| row.0, row.1, row.2, row.3, row.4)?;
    }
    Ok(())
}

/// Holds whose time is over, oldest first.
///
/// # Errors
/// The database failed.
pub async fn expired(db: &Db, now: Timestamp, most: i64) -> Result<Vec<ExpiredHold>, StoreError> {
    query!(Db: db, fetch_all as ExpiredHold, EXPIRED, now.0, most)
}

/// The same of one counter, inside a transaction that has taken it.
///
/// # Errors
/// The database failed.
pub async fn expired_of(tx: &mut Tx, key: &CounterKey, now: Timestamp) -> Result<Vec<ExpiredHold>, StoreError> {
    query!(Tx: tx, fetch_all as ExpiredHold, EXPIRED_OF, now.0, key.account.as_str(), key.meter, key.window.0)
}

/// What was used on a day.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DayRow {
    /// Midnight UTC.
    pub day: i64,
    /// The meter's key.
    pub meter: String,
    /// The API key that was used; empty for the account itself.
    pub source: String,
    /// How much.
    pub used: i64,
}

/// What was used on each day in `[from, to)`, oldest first.
///
/// # Errors
/// The database failed.
pub async fn days(db: &Db, account: &AccountId, from: Timestamp, to: Timestamp) -> Result<Vec<DayRow>, StoreError> {
    query!(Db: db, fetch_all as DayRow, DAYS, account.as_str(), from.0, to.0)
}

/// Keeps what was answered under a key.
///
/// # Errors
/// The database failed.
pub async fn keep_answer(tx: &mut Tx, account: &str, key: &str, body: &str, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, INSERT_ANSWER, account, key, body, at.0).map(drop)
}

/// What was answered under a key.
///
/// # Errors
/// The database failed.
pub async fn answer(db: &Db, account: &AccountId, key: &str) -> Result<Option<String>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), ANSWER, account.as_str(), key)?.map(|(body,)| body))
}

/// Deletes at most `most` answers that are older than `before`; how many it were.
///
/// # Errors
/// The database failed.
pub async fn prune_answers(tx: &mut Tx, before: Timestamp, most: i64) -> Result<u64, StoreError> {
    query!(Tx: tx, execute, PRUNE_ANSWERS, before.0, most)
}

/// Deletes at most `most` counted records that are older than `before`; how many it were.
///
/// # Errors
/// The database failed.
pub async fn prune_records(tx: &mut Tx, before: Timestamp, most: i64) -> Result<u64, StoreError> {
    query!(Tx: tx, execute, PRUNE_RECORDS, before.0, most)
}

/// The newest records of a meter: key, state, quantity, metadata.
///
/// # Errors
/// The database failed.
pub async fn records_of(
    db: &Db,
    account: &AccountId,
    meter: Meter,
    most: i64,
) -> Result<Vec<(String, String, i64, Option<String>)>, StoreError> {
    query!(Db: db, fetch_all as (String, String, i64, Option<String>), RECORDS_OF, account.as_str(), meter.as_str(), most)
}
