//! Applying the events of one subject, and retrying or parking those that fail.
//!
//! Failed events are retried with backoff and parked for an operator after [`MAX_ATTEMPTS`], or after
//! [`MAX_UNREADABLE`] if Stripe's response cannot be read. An object that Stripe does not have is requested
//! [`MAX_MISSING`] times before its event is ignored. While Stripe is unavailable or rejects the key,
//! attempts do not count (`tests/http/inbox.rs`, `tests/http/outage.rs`).

use std::collections::BTreeSet;

use billing::EventId;

use crate::backoff::backoff;
use crate::core::Core;
use crate::inbox::events::hint;
use crate::settings::StripeMode;
use crate::store::StoreError;
use crate::store::inbox::{self, Claimed, EventState, Lease, Next};
use crate::stripe::GatewayError;
use crate::stripe::objects::{self, Event};
use crate::sync::{self, SyncContext, SyncError};

/// Attempts after which an event is parked.
pub const MAX_ATTEMPTS: i64 = 15;
/// Attempts after which an event is parked because Stripe's response is missing a required field.
pub const MAX_UNREADABLE: i64 = 5;
/// The number of requests for an object that Stripe does not have, over about a minute.
pub const MAX_MISSING: i64 = 6;
/// The maximum delay before an event is retried, in seconds.
const MAX_BACKOFF: i64 = 3600;
/// The maximum delay for an event that waits for Stripe, in seconds.
const MAX_OUTAGE_BACKOFF: i64 = 300;

/// Applies the events of one subject.
pub(super) async fn apply(core: &Core, events: &[Claimed], owner: &str) -> Result<(), StoreError> {
    let mode = core.stripe_settings().mode();
    let (mut own, mut foreign, mut objects) = (Vec::new(), Vec::new(), BTreeSet::new());
    for claimed in events {
        let event = read(claimed);
        if is_of_mode(event.as_ref(), mode) {
            own.push(claimed);
            objects.extend(event.and_then(|event| hint(&event)).map(|hint| hint.object));
        } else {
            foreign.push(claimed);
        }
    }
    let reason =
        "the event is in a different mode from STRIPE_SECRET_KEY: live instead of test, or test instead of live";
    park(core, &foreign, owner, reason).await?;
    if objects.is_empty() {
        return park(core, &own, owner, "the event refers to no object to fetch from Stripe").await;
    }
    let leases: Vec<Lease> = own.iter().map(|event| event.lease(owner)).collect();
    let without_customer = own.iter().filter(|event| event.customer_id.is_none());
    let without_customer: Vec<EventId> = without_customer.map(|event| EventId::new(&event.event_id)).collect();
    let context = SyncContext {
        retries_missing: own.iter().any(|event| event.tries() < MAX_MISSING),
        ..SyncContext::events(&leases, &without_customer)
    };
    let applied = sync::objects(core, &objects, context).await;
    note(core, &applied);
    match applied {
        Ok(_) => Ok(()),
        Err(error @ SyncError::LeaseLost(_)) => {
            tracing::warn!(%error, "leaving the event to its new worker");
            Ok(())
        }
        Err(error) => reschedule(core, &own, owner, &error).await,
    }
}

/// Parses an event from its signed bytes.
fn read(event: &Claimed) -> Option<Event> {
    objects::event(&serde_json::from_str(&event.payload).ok()?).ok()
}

/// Returns whether an event is of the API key's mode.
fn is_of_mode(event: Option<&Event>, mode: Option<StripeMode>) -> bool {
    mode.zip(event.and_then(|event| event.mode)).is_none_or(|(ours, its)| ours == its)
}

/// Opens the circuit breaker when Stripe is unavailable, and closes it when Stripe responds.
fn note<T>(core: &Core, applied: &Result<T, SyncError>) {
    match applied {
        Err(SyncError::Stripe(error)) if error.is_outage() => {
            core.circuit_breaker().record_failure(core.now(), &error.to_string());
        }
        Err(SyncError::Store(_)) => {}
        Ok(_) | Err(_) => core.circuit_breaker().record_success(),
    }
}

async fn reschedule(core: &Core, events: &[&Claimed], owner: &str, error: &SyncError) -> Result<(), StoreError> {
    let max_attempts = match error {
        SyncError::Stripe(error) if !error.concerns_one_object() => return postpone(core, events, owner, error).await,
        SyncError::Stripe(GatewayError::Object(_)) => MAX_UNREADABLE,
        SyncError::Disappeared { .. } => MAX_MISSING,
        _ => MAX_ATTEMPTS,
    };
    let next = |event: &Claimed| {
        let (id, tries) = (&event.event_id, event.tries());
        let is_last = tries >= max_attempts;
        let state = if is_last { EventState::Parked } else { EventState::Pending };
        tracing::warn!(%error, tries, state = state.as_str(), "cannot apply event {id}");
        if is_last { Next::Park } else { Next::Retry(core.now().plus_seconds(backoff(tries, MAX_BACKOFF, id))) }
    };
    record(core, events, owner, &error.to_string(), next).await
}

/// Retries events later without counting the attempt: any event would have failed.
async fn postpone(core: &Core, events: &[&Claimed], owner: &str, error: &GatewayError) -> Result<(), StoreError> {
    let next = |event: &Claimed| {
        tracing::warn!(%error, "event {} waits for Stripe", event.event_id);
        Next::Postpone(core.now().plus_seconds(backoff(event.attempts, MAX_OUTAGE_BACKOFF, &event.event_id)))
    };
    record(core, events, owner, &error.to_string(), next).await
}

/// Parks events for an operator.
pub(super) async fn park(core: &Core, events: &[&Claimed], owner: &str, reason: &str) -> Result<(), StoreError> {
    record(core, events, owner, reason, |_| Next::Park).await
}

/// Records failed attempts, and the consequence of each.
async fn record(
    core: &Core,
    events: &[&Claimed],
    owner: &str,
    reason: &str,
    next: impl Fn(&Claimed) -> Next,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let failed: Vec<(Lease, Next)> = events.iter().map(|event| (event.lease(owner), next(event))).collect();
    let mut tx = core.db().begin().await?;
    inbox::reschedule(&mut tx, &failed, reason).await?;
    tx.commit().await
}
