//! Applies the events in the inbox: claims by lease, groups by what they are about,
//! asks Stripe once per group, and commits state and "done" together.
//!
//! What fails is tried again, later and later, and after [`MOST_TRIES`] it is parked
//! for a person. A worker that is told to stop finishes the group it is on and lets
//! go of the rest; one that is killed loses its leases when they run out.

use std::collections::HashMap;
use std::time::Duration;

use billing::EventId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hint::Hint;
use crate::ids;
use crate::store::StoreError;
use crate::store::inbox::{self, Claimed, EventState};
use crate::sync::{self, Along, SyncError};
use crate::tollgate::Tollgate;

/// Seconds that a claim holds: longer than Stripe's slowest answer with all retries.
const LEASE: i64 = 120;
/// Events claimed at a time.
const BATCH: i64 = 16;
/// Tries after which an event is parked.
pub const MOST_TRIES: i64 = 15;
/// The longest wait between two looks at the inbox.
const IDLE: Duration = Duration::from_secs(5);

/// Works until `stop`.
pub async fn run(tollgate: Tollgate, stop: CancellationToken) {
    let owner = ids::new_id();
    loop {
        let worked = match work_once(&tollgate, &owner, &stop).await {
            Ok(worked) => worked,
            Err(error) => {
                tracing::error!(%error, "the inbox cannot be read");
                false
            }
        };
        if stop.is_cancelled() {
            break;
        }
        if !worked {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tollgate.inbox_filled().notified() => {}
                () = tokio::time::sleep(until_next_due(&tollgate).await) => {}
            }
        }
    }
    if let Err(error) = let_go(&tollgate, &owner).await {
        tracing::warn!(%error, "leases not released; they run out by themselves");
    }
}

/// Claims and applies one batch. `false` when nothing was due.
async fn work_once(tollgate: &Tollgate, owner: &str, stop: &CancellationToken) -> Result<bool, StoreError> {
    let now = tollgate.now();
    let claimed = inbox::claim(tollgate.db(), owner, now, now.plus_seconds(LEASE), BATCH).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let mut groups: HashMap<Option<String>, Vec<Claimed>> = HashMap::new();
    for event in claimed {
        groups.entry(event.subject.clone()).or_default().push(event);
    }
    let mut running = JoinSet::new();
    for (subject, events) in groups {
        if stop.is_cancelled() {
            break;
        }
        let tollgate = tollgate.clone();
        running.spawn(async move { apply(&tollgate, subject.as_deref(), &events).await });
    }
    while let Some(done) = running.join_next().await {
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "an event could not be marked"),
            Err(error) => tracing::error!(%error, "applying an event panicked"),
        }
    }
    Ok(true)
}

async fn apply(tollgate: &Tollgate, subject: Option<&str>, events: &[Claimed]) -> Result<(), StoreError> {
    let ids: Vec<EventId> = events.iter().map(|event| EventId::new(&event.event_id)).collect();
    let outcome = match subject.and_then(Hint::parse) {
        Some(Hint::Subscription(id)) => {
            sync::subscription(tollgate, &id, &Along { events: &ids, session: None }).await.map(drop)
        }
        Some(Hint::CheckoutSession(id)) => sync::checkout_session(tollgate, &id, &ids).await.map(drop),
        None => return park(tollgate, &ids, "nothing to look at is known for it").await,
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            for event in events {
                put_off(tollgate, event, &error).await?;
            }
            Ok(())
        }
    }
}

async fn put_off(tollgate: &Tollgate, event: &Claimed, error: &SyncError) -> Result<(), StoreError> {
    let tries = event.attempts + 1;
    let state = if tries >= MOST_TRIES { EventState::Parked } else { EventState::Pending };
    tracing::warn!(%error, tries, state = state.as_str(), "event {} could not be applied", event.event_id);
    let next = tollgate.now().plus_seconds(backoff(tries, &event.event_id));
    let mut tx = tollgate.db().begin().await?;
    inbox::postpone(&mut tx, &EventId::new(&event.event_id), state, next, &error.to_string()).await?;
    tx.commit().await
}

async fn park(tollgate: &Tollgate, events: &[EventId], why: &str) -> Result<(), StoreError> {
    let mut tx = tollgate.db().begin().await?;
    for event in events {
        inbox::postpone(&mut tx, event, EventState::Parked, tollgate.now(), why).await?;
    }
    tx.commit().await
}

async fn let_go(tollgate: &Tollgate, owner: &str) -> Result<(), StoreError> {
    let mut tx = tollgate.db().begin().await?;
    inbox::release(&mut tx, owner).await?;
    tx.commit().await
}

/// Seconds until the next try: doubling from two seconds to an hour, spread by a quarter so
/// that events that failed together do not come back together.
fn backoff(tries: i64, event: &str) -> i64 {
    let doubled = 1_i64 << tries.clamp(1, 12);
    let base = doubled.min(3600);
    let spread = event.bytes().fold(0_i64, |sum, byte| (sum * 31 + i64::from(byte)) % 997);
    base + base * spread / 997 / 4
}

async fn until_next_due(tollgate: &Tollgate) -> Duration {
    match inbox::next_due(tollgate.db()).await {
        Ok(Some(due)) => {
            let seconds = u64::try_from(due.0.saturating_sub(tollgate.now().0)).unwrap_or_default();
            Duration::from_secs(seconds.max(1)).min(IDLE)
        }
        _ => IDLE,
    }
}
