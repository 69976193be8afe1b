//! Telling Stripe what is to be billed: each hour's use once, in whole numbers, from one place
//! at a time.
//!
//! Use beyond the limit is written into the outbox in the transaction that counts it. An hour's
//! use is sealed under its identifier before it is sent, so that a retry, a restart and another
//! node send the same; Stripe counts an identifier once. Stripe remembers identifiers for a day
//! only: what was tried longer ago, and may have come through, is parked for a person instead
//! of sent twice, and so is what Stripe would not take any more, after 35 days. An account's
//! meter is sent from one place at a time, under a lease, across all nodes
//! (`tests/http/outbox.rs`).

use std::time::Duration;

use billing::{AccountId, CustomerId, Meter, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::ids;
use crate::store::meter_events::{self as rows, Fate, Sealed};
use crate::store::{StoreError, customers};
use crate::stripe::meters::MeterEvent;
use crate::sync::SyncError;
use crate::tollgate::Tollgate;

/// Between two looks at what is due.
const EVERY: Duration = Duration::from_secs(30);
/// Seconds that the place to send from is taken for: longer than Stripe's slowest answer.
const LEASE: i64 = 120;
/// Accounts and meters looked at in one round.
const ROUND: i64 = 100;
/// Stripe takes nothing older than 35 days; a day is left for the way.
const TOO_OLD_DAYS: i64 = 34;
/// Stripe remembers an identifier for 24 hours; an hour is left for clocks that differ.
const REMEMBERED: i64 = 23 * 3600;
/// The longest wait between two tries, in seconds.
const LONGEST_WAIT: i64 = 3600;
/// How far back use is compared.
const COMPARED_DAYS: i64 = 30;

/// Sends until `stop`.
pub async fn run(tollgate: Tollgate, stop: CancellationToken) {
    // Without anything to bill there is nothing to look for.
    if tollgate.catalog().metered_prices().next().is_none() {
        return;
    }
    while !stop.is_cancelled() {
        if let Err(error) = send_due(&tollgate).await {
            tracing::error!(%error, "billed use cannot be read");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Sends everything that is due and not being sent by somebody else; how many events Stripe took.
///
/// # Errors
/// The database failed.
pub async fn send_due(tollgate: &Tollgate) -> Result<u64, StoreError> {
    let owner = ids::new_id();
    let mut sent = 0;
    for (account, meter) in rows::due(tollgate.db(), tollgate.now(), ROUND).await? {
        let Some(sealed) = take(tollgate, &account, &meter, &owner).await? else { continue };
        for event in sealed {
            // The lease is moved on: the earlier events may have taken long.
            if take(tollgate, &account, &meter, &owner).await?.is_none() {
                break;
            }
            sent += u64::from(send(tollgate, &event).await?);
        }
        let mut tx = tollgate.db().begin().await?;
        rows::give_sender(&mut tx, &account, &meter, &owner).await?;
        tx.commit().await?;
    }
    Ok(sent)
}

/// What is sealed and due of an account's meter; `None` when somebody else is at work on it.
async fn take(tollgate: &Tollgate, account: &str, meter: &str, owner: &str) -> Result<Option<Vec<Sealed>>, StoreError> {
    let now = tollgate.now();
    let mut tx = tollgate.db().begin().await?;
    if !rows::take_sender(&mut tx, account, meter, owner, now, now.plus_seconds(LEASE)).await? {
        return Ok(None);
    }
    let sealed = rows::seal(&mut tx, account, meter, now).await?;
    tx.commit().await?;
    Ok(Some(sealed))
}

/// Sends one event. Whether Stripe has it now.
#[tracing::instrument(skip_all, fields(event = event.id, account = event.account_id))]
async fn send(tollgate: &Tollgate, event: &Sealed) -> Result<bool, StoreError> {
    let now = tollgate.now();
    if event.hour < now.plus_days(-TOO_OLD_DAYS).0 {
        return put_off(tollgate, event, "older than Stripe takes", Fate::Parked).await;
    }
    if event.attempted_at.is_some_and(|at| at < now.0 - REMEMBERED) {
        let why = "tried more than a day ago, and perhaps counted: compare before it is sent again";
        return put_off(tollgate, event, why, Fate::Parked).await;
    }
    let price = tollgate.catalog().meter(&event.meter).and_then(|meter| tollgate.catalog().metered_price(meter));
    let Some(price) = price else {
        return put_off(tollgate, event, "plans.toml no longer bills this meter", Fate::Refused).await;
    };
    let Some(customer) = customers::of_account(tollgate.db(), &AccountId::new(&event.account_id)).await? else {
        return put_off(tollgate, event, "the account has no Stripe customer", Fate::Refused).await;
    };
    let mut tx = tollgate.db().begin().await?;
    rows::attempt(&mut tx, &event.id, now).await?;
    tx.commit().await?;

    let meter_event = MeterEvent {
        identifier: &event.id,
        event_name: &price.event_name,
        customer: &customer,
        value: event.quantity,
        timestamp: Timestamp(event.hour),
    };
    match tollgate.gateway().report_use(&meter_event).await {
        Ok(()) => {
            let mut tx = tollgate.db().begin().await?;
            rows::sent(&mut tx, &event.id, now).await?;
            tx.commit().await?;
            tracing::info!(units = event.quantity, "billed use was sent");
            Ok(true)
        }
        Err(error) => {
            let fate = if error.is_final() { Fate::Refused } else { Fate::Unknown };
            put_off(tollgate, event, &error.to_string(), fate).await
        }
    }
}

async fn put_off(tollgate: &Tollgate, event: &Sealed, why: &str, fate: Fate) -> Result<bool, StoreError> {
    if fate == Fate::Parked {
        tracing::error!(why, "billed use was not sent and is parked");
    } else {
        tracing::warn!(why, tries = event.attempts + 1, "billed use waits");
    }
    let doubled = 30_i64 << event.attempts.clamp(0, 10);
    let next = tollgate.now().plus_seconds(doubled.min(LONGEST_WAIT));
    let mut tx = tollgate.db().begin().await?;
    rows::postpone(&mut tx, &event.id, next, why, fate).await?;
    tx.commit().await?;
    Ok(false)
}

/// Use that Stripe has counted differently than it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub account: AccountId,
    /// At Stripe.
    pub customer: CustomerId,
    /// Of what.
    pub meter: Meter,
    /// What was sent.
    pub sent: i64,
    /// What Stripe has counted.
    pub counted: i64,
}

/// An account's meter, of which use was billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// Whose.
    pub account: AccountId,
    /// At Stripe.
    pub customer: CustomerId,
    /// Of what.
    pub meter: Meter,
}

/// Everything of which use was ever billed and still is.
///
/// # Errors
/// The database failed.
pub async fn billed(tollgate: &Tollgate) -> Result<Vec<Billed>, StoreError> {
    let mut billed = Vec::new();
    for (account, key) in rows::senders(tollgate.db()).await? {
        let account = AccountId::new(account);
        let meter = tollgate.catalog().meter(&key).filter(|meter| tollgate.catalog().metered_price(*meter).is_some());
        let customer = customers::of_account(tollgate.db(), &account).await?;
        billed.extend(meter.zip(customer).map(|(meter, customer)| Billed { account, customer, meter }));
    }
    Ok(billed)
}

/// Compares what was sent over the last thirty days with what Stripe has counted. What is newer
/// than two hours is left out: Stripe adds up with a delay.
///
/// # Errors
/// Stripe or the database could not be read.
pub async fn difference(tollgate: &Tollgate, billed: &Billed) -> Result<Option<Difference>, SyncError> {
    let hour = tollgate.now().0 - tollgate.now().0.rem_euclid(3600);
    let (from, to) = (Timestamp(hour).plus_days(-COMPARED_DAYS), Timestamp(hour - 3600));
    let Billed { account, customer, meter } = billed.clone();
    let Some(price) = tollgate.catalog().metered_price(meter) else { return Ok(None) };
    let sent = rows::sent_of(tollgate.db(), &account, meter.as_str(), from, to).await?;
    let sent = sent.iter().fold(0_i64, |sum, (_, units)| sum.saturating_add(*units));
    let counted = match tollgate.gateway().meter(&price.event_name).await? {
        Some(id) => tollgate.gateway().counted_use(&id, &customer, from, to).await?,
        None => 0,
    };
    Ok((sent != counted).then_some(Difference { account, customer, meter, sent, counted }))
}
