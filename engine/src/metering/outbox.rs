//! Reporting overage to Stripe: each hour's usage once, in whole units, by one process at a time.
//!
//! Overage is written to the outbox in the transaction that counts it. An hour's usage is sealed under
//! its identifier before it is sent, so that a retry, a restart and another node send the same; Stripe
//! counts an identifier once. Stripe remembers identifiers for a day only. Older usage may have been
//! sent before: by an attempt whose outcome is unknown, or by the database that a backup was taken from.
//! So it is first compared with what Stripe has counted for its hour ([`super::counted`]). An unclear
//! event is parked for an operator rather than sent twice, and so is one that is too old for
//! Stripe, after 35 days. An account's meter is sent by one process at a time, under a lease, across all
//! nodes (`tests/http/outbox.rs`).

use billing::{AccountId, Timestamp};

use super::counted::{Counted, counted};
use crate::backoff::backoff;
use crate::core::Core;
use crate::ids;
use crate::store::meter_events::{self as rows, Sealed, Sender};
use crate::store::{StoreError, customers};
use crate::stripe::GatewayError;
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
            Ok(round) => {
                sent += round.sent;
                // The other meters would wait for Stripe as well.
                if round.interrupted.is_some_and(|error| error.is_outage()) {
                    break;
                }
            }
            Err(error) if !error.is_unreadable() => return Err(error),
            Err(error) => tracing::error!(%error, account = sender.account_id, "cannot send overage"),
        }
    }
    Ok(sent)
}

/// Sends all overage of an account now, including that of the current hour: what is sent after a subscription
/// has ended is on no invoice. An inner error means that some of it may still be accepted later. Overage that
/// Stripe rejects stays in the outbox for an operator.
pub async fn send_all_of(core: &Core, account: &AccountId) -> Result<Result<(), GatewayError>, StoreError> {
    let owner = ids::new_id();
    let mut tx = core.db().begin().await?;
    rows::make_due(&mut tx, account, core.now()).await?;
    tx.commit().await?;
    for sender in rows::unsent_of(core.db(), account).await? {
        loop {
            match send_meter(core, &sender, &owner).await? {
                Round { interrupted: Some(error), .. } => return Ok(Err(error)),
                Round { tried: 0, .. } => break,
                Round { .. } => {}
            }
        }
    }
    Ok(Ok(()))
}

/// The outcome of sending what is due of a meter.
#[derive(Debug, Default)]
struct Round {
    /// Events that were tried.
    tried: usize,
    /// Events that Stripe accepted.
    sent: u64,
    /// The reason it ended early: an event got no response, or another process is sending.
    interrupted: Option<GatewayError>,
}

impl Round {
    /// Another process holds the lease.
    fn leave(self) -> Self {
        let error = GatewayError::Conflict("another process is reporting this usage".to_owned());
        Self { interrupted: Some(error), ..self }
    }
}

/// The outcome of sending an event.
#[derive(Debug)]
enum SendOutcome {
    /// Stripe has it.
    Sent,
    /// Stripe does not accept it.
    Rejected,
    /// Stripe did not decide.
    Unanswered(GatewayError),
}

async fn send_meter(core: &Core, sender: &Sender, owner: &str) -> Result<Round, StoreError> {
    let Some(ids) = seal(core, sender, owner).await? else { return Ok(Round::default().leave()) };
    let round = send_all(core, sender, owner, &ids).await;
    // Also after an error: the next round need not wait until the lease expires.
    let released = release(core, sender, owner).await;
    let round = round?;
    released?;
    Ok(round)
}

/// Acquires the lease, and returns the ids of the sealed events that are due; `None` if another process
/// holds the lease.
async fn seal(core: &Core, sender: &Sender, owner: &str) -> Result<Option<Vec<String>>, StoreError> {
    let now = core.now();
    let mut tx = core.db().begin().await?;
    if !rows::lease(&mut tx, sender, owner, now, now.plus_seconds(LEASE)).await? {
        return Ok(None);
    }
    let ids = rows::seal(&mut tx, sender, now).await?;
    tx.commit().await?;
    Ok(Some(ids))
}

async fn release(core: &Core, sender: &Sender, owner: &str) -> Result<(), StoreError> {
    let mut tx = core.db().begin().await?;
    rows::release(&mut tx, sender, owner).await?;
    tx.commit().await
}

async fn send_all(core: &Core, sender: &Sender, owner: &str, ids: &[String]) -> Result<Round, StoreError> {
    let mut round = Round::default();
    for id in ids {
        // Sending the earlier events may have outlasted the lease.
        if !begin_attempt(core, sender, owner, id).await? {
            return Ok(round.leave());
        }
        round.tried += 1;
        match rows::sealed(core.db(), id).await {
            Ok(Some(event)) => match send(core, &event).await? {
                SendOutcome::Sent => round.sent += 1,
                SendOutcome::Rejected => {}
                // The later events would get no response either, and Stripe takes one at a time.
                SendOutcome::Unanswered(error) => return Ok(Round { interrupted: Some(error), ..round }),
            },
            Ok(None) => {}
            // It must not hold up the later events.
            Err(error) if error.is_unreadable() => park(core, id, &error.to_string()).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(round)
}

/// Renews the lease, and counts the attempt. Returns `false` if another process now holds the lease.
async fn begin_attempt(core: &Core, sender: &Sender, owner: &str, id: &str) -> Result<bool, StoreError> {
    let now = core.now();
    let mut tx = core.db().begin().await?;
    if !rows::lease(&mut tx, sender, owner, now, now.plus_seconds(LEASE)).await? {
        return Ok(false);
    }
    rows::attempt(&mut tx, id).await?;
    tx.commit().await?;
    Ok(true)
}

/// Sends one event.
#[tracing::instrument(skip_all, fields(event = event.id, account = event.account_id))]
async fn send(core: &Core, event: &Sealed) -> Result<SendOutcome, StoreError> {
    let now = core.now();
    let price = core.catalog().meter(&event.meter).and_then(|meter| core.catalog().metered_price(meter));
    let Some(price) = price else {
        return reject(core, event, "plans.toml no longer bills this meter").await;
    };
    let Some(customer) = customers::of_account(core.db(), &AccountId::new(&event.account_id)).await? else {
        return reject(core, event, "the account has no Stripe customer").await;
    };
    if event.hour < now.0 - REMEMBERED {
        match counted(core, event, &price.event_name, &customer).await? {
            Ok(Counted::No) => {}
            Ok(Counted::Yes) => {
                tracing::warn!("Stripe had already counted this overage; it is not sent again");
                return is_sent(core, event).await;
            }
            Ok(Counted::Unclear(reason)) => {
                return park(core, &event.id, &reason).await.map(|()| SendOutcome::Rejected);
            }
            Err(error) => return fail(core, event, error).await,
        }
    }
    if is_too_old(event, now) {
        return park(core, &event.id, "older than Stripe accepts").await.map(|()| SendOutcome::Rejected);
    }
    let meter_event = MeterEvent {
        identifier: &event.id,
        event_name: &price.event_name,
        customer: &customer,
        value: event.quantity,
        timestamp: Timestamp(event.hour),
    };
    match core.gateway().report_usage(&meter_event).await {
        Ok(()) => {
            tracing::info!(units = event.quantity, "reported overage to Stripe");
            is_sent(core, event).await
        }
        Err(error) => fail(core, event, error).await,
    }
}

/// Returns whether Stripe no longer accepts usage of this time.
const fn is_too_old(event: &Sealed, now: Timestamp) -> bool {
    event.hour < now.plus_days(-MAX_AGE_DAYS).0
}

async fn is_sent(core: &Core, event: &Sealed) -> Result<SendOutcome, StoreError> {
    let mut tx = core.db().begin().await?;
    rows::sent(&mut tx, &event.id, core.now()).await?;
    tx.commit().await?;
    Ok(SendOutcome::Sent)
}

/// Handles an error from Stripe.
async fn fail(core: &Core, event: &Sealed, error: GatewayError) -> Result<SendOutcome, StoreError> {
    match error {
        // The next response would be just as unusable.
        GatewayError::Object(_) => park(core, &event.id, &error.to_string()).await.map(|()| SendOutcome::Rejected),
        error if error.is_final() && !error.is_outage() => reject(core, event, &error.to_string()).await,
        error => {
            retry_later(core, event, &error.to_string()).await?;
            Ok(SendOutcome::Unanswered(error))
        }
    }
}

/// Retries a rejected event later, in case an operator fixes the cause; an event that is too old for that is
/// parked.
async fn reject(core: &Core, event: &Sealed, reason: &str) -> Result<SendOutcome, StoreError> {
    if is_too_old(event, core.now()) {
        park(core, &event.id, reason).await?;
    } else {
        retry_later(core, event, reason).await?;
    }
    Ok(SendOutcome::Rejected)
}

async fn retry_later(core: &Core, event: &Sealed, reason: &str) -> Result<(), StoreError> {
    tracing::warn!(reason, attempts = event.attempts, "overage not reported to Stripe; retrying later");
    let next = core.now().plus_seconds(backoff(event.attempts, MAX_BACKOFF, &event.id));
    let mut tx = core.db().begin().await?;
    rows::reschedule(&mut tx, &event.id, next, reason).await?;
    tx.commit().await
}

async fn park(core: &Core, id: &str, reason: &str) -> Result<(), StoreError> {
    tracing::error!(event = id, reason, "overage not reported to Stripe; parked");
    let mut tx = core.db().begin().await?;
    rows::park(&mut tx, id, reason).await?;
    tx.commit().await
}
