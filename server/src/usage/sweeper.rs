//! Giving back what dead work holds, and forgetting history that is old enough.
//!
//! A reservation whose time is over is given back by whoever needs its units first, or else here
//! (`tests/store/reservations.rs`). Records are pruned in small bites, by the policy in the
//! configuration; counters and days stay right, because nothing is ever summed from them.

use std::time::Duration;

use billing::{Limit, Meter, Overage, Timestamp, UsageWindow};
use tokio_util::sync::CancellationToken;

use super::counting::{Ask, Outcome, Place, Settle};
use crate::store::usage::{self as rows, ExpiredHold};
use crate::store::{StoreError, meter_events, notices};
use crate::tollgate::Tollgate;

/// Between two looks for expired reservations.
const EVERY: Duration = Duration::from_secs(5);
/// Reservations given back at a time.
const BITE: i64 = 256;
/// Records deleted in one transaction: others write in between.
const PRUNED_AT_ONCE: i64 = 500;
/// Answers are remembered for as long as Stripe remembers its own.
const ANSWERS_HOURS: i64 = 24;
/// Notices and what was sent to Stripe are kept this long.
const KEPT_DAYS: i64 = 400;

/// Sweeps until `stop`.
pub async fn run(tollgate: Tollgate, stop: CancellationToken) {
    let mut rounds = 0_u64;
    while !stop.is_cancelled() {
        if let Err(error) = give_back_expired(&tollgate).await {
            tracing::warn!(%error, "expired reservations stay for now");
        }
        // Once an hour, beginning with the start.
        if rounds.is_multiple_of(720)
            && let Err(error) = prune(&tollgate).await
        {
            tracing::warn!(%error, "old usage stays for now");
        }
        rounds += 1;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Gives back what every expired reservation holds; how many there were.
///
/// # Errors
/// The database failed; what was given back before stays so.
pub async fn give_back_expired(tollgate: &Tollgate) -> Result<u64, StoreError> {
    let mut given_back = 0;
    loop {
        let now = tollgate.now();
        let expired = rows::expired(tollgate.db(), now, BITE).await?;
        let is_last = i64::try_from(expired.len()).is_ok_and(|found| found < BITE);
        for hold in expired {
            let Some(meter) = tollgate.catalog().meter(&hold.meter) else { continue };
            tracing::warn!(account = hold.account_id, meter = hold.meter, "a reservation has run out");
            let settle = Settle {
                place: place_of(&hold, meter),
                key: hold.idempotency_key,
                holder: hold.holder,
                outcome: Outcome::Release,
                now,
            };
            tollgate.ask(Ask::Settle(settle)).await?;
            given_back += 1;
        }
        if is_last {
            return Ok(given_back);
        }
    }
}

/// Where a hold is counted. Giving back asks for no limit and begins no window.
fn place_of(hold: &ExpiredHold, meter: Meter) -> Place {
    let start = Timestamp(hold.window_start);
    Place {
        account: billing::AccountId::new(&hold.account_id),
        meter,
        window: UsageWindow { start, end: start },
        subscription: None,
        limit: Limit::Unlimited,
        overage: Overage::Deny,
    }
}

/// Deletes what is older than the policy keeps; how many records it were.
///
/// # Errors
/// The database failed; what was deleted before stays so.
pub async fn prune(tollgate: &Tollgate) -> Result<u64, StoreError> {
    let now = tollgate.now();
    let mut pruned = 0;
    if let Some(days) = tollgate.config().usage_history_days {
        pruned = in_bites(tollgate, now.plus_days(-i64::from(days)), Kind::Records).await?;
    }
    in_bites(tollgate, now.plus_seconds(-ANSWERS_HOURS * 3600), Kind::Answers).await?;
    let mut tx = tollgate.db().begin().await?;
    notices::prune(&mut tx, now.plus_days(-KEPT_DAYS)).await?;
    meter_events::prune(&mut tx, now.plus_days(-KEPT_DAYS)).await?;
    tx.commit().await?;
    Ok(pruned)
}

#[derive(Clone, Copy)]
enum Kind {
    Records,
    Answers,
}

async fn in_bites(tollgate: &Tollgate, before: Timestamp, kind: Kind) -> Result<u64, StoreError> {
    let mut pruned = 0;
    loop {
        let mut tx = tollgate.db().begin().await?;
        let bite = match kind {
            Kind::Records => rows::prune_records(&mut tx, before, PRUNED_AT_ONCE).await?,
            Kind::Answers => rows::prune_answers(&mut tx, before, PRUNED_AT_ONCE).await?,
        };
        tx.commit().await?;
        pruned += bite;
        if bite < PRUNED_AT_ONCE.unsigned_abs() {
            return Ok(pruned);
        }
    }
}
