//! Reporting overage to Stripe: each hour's usage once, in whole units, by one process at a time.
//!
//! Overage is written to the outbox in the transaction that counts it. An hour's usage is sealed under
//! its identifier before it is sent, so that a retry, a restart and another node send the same; Stripe
//! counts an identifier once. Stripe remembers identifiers for a day only: an event that was tried longer
//! ago and may have succeeded is parked for an operator rather than sent twice, and so is one that is too
//! old for Stripe, after 35 days. An account's meter is sent by one process at a time, under a lease,
//! across all nodes (`tests/http/outbox.rs`).

use billing::{AccountId, Timestamp};

use crate::core::Core;
use crate::ids;
use crate::store::meter_events::{self as rows, NotSent, Sealed, Sender};
use crate::store::{StoreError, customers};
use crate::stripe::meters::MeterEvent;

/// The duration of the lease on sending a meter, in seconds: longer than Stripe's slowest response.
const LEASE: i64 = 120;
/// The number of meters sent in one round.
const ROUND: i64 = 100;
/// Stripe accepts nothing older than 35 days; one day is a safety margin.
const MAX_AGE_DAYS: i64 = 34;
/// Stripe remembers an identifier for 24 hours; one hour is a margin for clock skew.
const REMEMBERED: i64 = 23 * 3600;
/// The maximum delay between two attempts, in seconds.
const MAX_BACKOFF: i64 = 3600;

/// Sends everything that is due and not being sent by another process, and returns the number of events
/// that Stripe accepted.
pub async fn send_due(core: &Core) -> Result<u64, StoreError> {
    let owner = ids::new_id();
    let mut sent = 0;
    for sender in rows::due(core.db(), core.now(), ROUND).await? {
        // A meter that cannot be read or sent does not stop the others.
        match send_meter(core, &sender, &owner).await {
            Ok(events) => sent += events,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => tracing::error!(%error, account = sender.account_id, "cannot send overage"),
        }
    }
    Ok(sent)
}

const fn is_fatal(error: &StoreError) -> bool {
    !matches!(error, StoreError::CorruptRow { .. })
}

async fn send_meter(core: &Core, sender: &Sender, owner: &str) -> Result<u64, StoreError> {
    let Some(sealed) = lease(core, sender, owner).await? else { return Ok(0) };
    let mut sent = 0;
    for event in sealed {
        // Sending the earlier events may have taken long.
        if lease(core, sender, owner).await?.is_none() {
            break;
        }
        sent += u64::from(send(core, &event).await?);
    }
    let mut tx = core.db().begin().await?;
    rows::release(&mut tx, sender, owner).await?;
    tx.commit().await?;
    Ok(sent)
}

/// Acquires or renews the lease, and returns the sealed events that are due; `None` if another process
/// holds the lease.
async fn lease(core: &Core, sender: &Sender, owner: &str) -> Result<Option<Vec<Sealed>>, StoreError> {
    let now = core.now();
    let mut tx = core.db().begin().await?;
    if !rows::lease(&mut tx, sender, owner, now, now.plus_seconds(LEASE)).await? {
        return Ok(None);
    }
    let sealed = rows::seal(&mut tx, sender, now).await?;
    tx.commit().await?;
    Ok(Some(sealed))
}

/// Sends one event, and returns whether Stripe has it now.
#[tracing::instrument(skip_all, fields(event = event.id, account = event.account_id))]
async fn send(core: &Core, event: &Sealed) -> Result<bool, StoreError> {
    let now = core.now();
    if event.hour < now.plus_days(-MAX_AGE_DAYS).0 {
        return not_sent(core, event, "older than Stripe accepts", NotSent::Parked).await;
    }
    if event.attempted_at.is_some_and(|at| at < now.0 - REMEMBERED) {
        let reason = "sent more than a day ago and possibly counted: compare with Stripe before sending it again";
        return not_sent(core, event, reason, NotSent::Parked).await;
    }
    let price = core.catalog().meter(&event.meter).and_then(|meter| core.catalog().metered_price(meter));
    let Some(price) = price else {
        return not_sent(core, event, "plans.toml no longer bills this meter", NotSent::Refused).await;
    };
    let Some(customer) = customers::of_account(core.db(), &AccountId::new(&event.account_id)).await? else {
        return not_sent(core, event, "the account has no Stripe customer", NotSent::Refused).await;
    };
    let mut tx = core.db().begin().await?;
    rows::attempt(&mut tx, &event.id, now).await?;
    tx.commit().await?;

    let meter_event = MeterEvent {
        identifier: &event.id,
        event_name: &price.event_name,
        customer: &customer,
        value: event.quantity,
        timestamp: Timestamp(event.hour),
    };
    match core.gateway().report_usage(&meter_event).await {
        Ok(()) => {
            let mut tx = core.db().begin().await?;
            rows::sent(&mut tx, &event.id, now).await?;
            tx.commit().await?;
            tracing::info!(units = event.quantity, "reported overage to Stripe");
            Ok(true)
        }
        Err(error) => {
            let outcome = if error.is_final() { NotSent::Refused } else { NotSent::Unknown };
            not_sent(core, event, &error.to_string(), outcome).await
        }
    }
}

async fn not_sent(core: &Core, event: &Sealed, reason: &str, outcome: NotSent) -> Result<bool, StoreError> {
    if outcome == NotSent::Parked {
        tracing::error!(reason, "overage not reported to Stripe; parked");
    } else {
        tracing::warn!(reason, attempts = event.attempts + 1, "overage not reported to Stripe; retrying later");
    }
    let backoff = 30_i64 << event.attempts.clamp(0, 10);
    let next = core.now().plus_seconds(backoff.min(MAX_BACKOFF));
    let mut tx = core.db().begin().await?;
    rows::reschedule(&mut tx, &event.id, next, reason, outcome).await?;
    tx.commit().await?;
    Ok(false)
}
