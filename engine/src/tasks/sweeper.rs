//! Releasing expired reservations, and deleting old history.
//!
//! An expired reservation is released by the next request that needs its units, or else here
//! (`tests/store/reservations.rs`). Rows are deleted in small batches. Counters and days stay correct,
//! because nothing is ever summed from records.

use std::sync::Arc;
use std::time::Duration;

use billing::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::idempotency_key;
use crate::metering;
use crate::store::{StoreError, billing_changes, inbox, meter_events, notices, unanswered, usage};

/// The interval at which expired reservations are released.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of rounds between two deletions of old rows: an hour.
const ROUNDS_PER_PRUNING: u64 = 720;
/// The number of rows deleted in one transaction, so that others can write in between.
const BATCH: i64 = 500;
/// Seconds for which responses are kept: as long as Stripe keeps its own under an idempotency key.
const RESPONSE_SECONDS: i64 = 24 * 3600;
/// Days after an account was closed in which events about it may arrive. Stripe resends no event later than that.
const CLOSED_DAYS: i64 = 100;
/// Days for which the payloads of settled events are kept. Stripe itself shows events for 30 days.
pub const PAYLOAD_DAYS: i64 = 90;
/// Days for which notices, sent meter events, delivered billing changes, and settled and unmatched events are kept.
pub const KEPT_DAYS: i64 = 400;

/// Sweeps until `stop`, which may interrupt it anywhere: an unfinished batch is rolled back.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    stop.run_until_cancelled(sweep(&core)).await;
}

async fn sweep(core: &Core) {
    let mut rounds = 0_u64;
    loop {
        if let Err(error) = metering::release_expired(core).await {
            tracing::warn!(%error, "cannot release expired reservations");
        }
        if rounds.is_multiple_of(ROUNDS_PER_PRUNING)
            && let Err(error) = prune(core).await
        {
            tracing::warn!(%error, "cannot delete old rows");
        }
        rounds += 1;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Deletes rows past their retention, and returns the number of usage records among them. Rows deleted
/// before an error stay deleted.
pub async fn prune(core: &Core) -> Result<u64, StoreError> {
    let now = core.now();
    let mut records = 0;
    if let Some(days) = core.retention().usage_days {
        records = in_batches(core, Old::Records, now.plus_days(-i64::from(days))).await?;
    }
    in_batches(core, Old::Responses, now.plus_seconds(-RESPONSE_SECONDS)).await?;
    for old in [Old::Changes, Old::Notices, Old::MeterEvents, Old::Events] {
        in_batches(core, old, now.plus_days(-KEPT_DAYS)).await?;
    }
    in_batches(core, Old::Payloads, now.plus_days(-PAYLOAD_DAYS)).await?;
    in_batches(core, Old::PayloadsOfClosed, now.plus_days(-CLOSED_DAYS)).await?;
    let mut tx = core.db().begin().await?;
    unanswered::forget(&mut tx, now.plus_seconds(-idempotency_key::REMEMBERED)).await?;
    tx.commit().await?;
    Ok(records)
}

#[derive(Clone, Copy)]
enum Old {
    Records,
    Responses,
    Changes,
    Notices,
    MeterEvents,
    Events,
    Payloads,
    PayloadsOfClosed,
}

async fn in_batches(core: &Core, old: Old, before: Timestamp) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let mut tx = core.db().begin().await?;
        let batch = match old {
            Old::Records => usage::prune_records(&mut tx, before, BATCH).await?,
            Old::Responses => usage::prune_responses(&mut tx, before, BATCH).await?,
            Old::Changes => billing_changes::prune(&mut tx, before, BATCH).await?,
            Old::Notices => notices::prune(&mut tx, before, BATCH).await?,
            Old::MeterEvents => meter_events::prune(&mut tx, before, BATCH).await?,
            Old::Events => inbox::prune(&mut tx, before, BATCH).await?,
            Old::Payloads => inbox::erase_old_payloads(&mut tx, before, BATCH).await?,
            Old::PayloadsOfClosed => inbox::erase_payloads_of_closed(&mut tx, before, BATCH).await?,
        };
        tx.commit().await?;
        deleted += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(deleted);
        }
    }
}
