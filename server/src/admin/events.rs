//! Events from Stripe.

use billing::EventId;
use engine::StoreError;
use engine::store::inbox::{self, EventFilter, EventSummary};
use engine::store::{Cursor, Page};

use super::page::{READ, ROWS};
use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// Reads a page of events, newest first.
pub async fn events(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &EventFilter,
    after: &Cursor,
) -> Result<Page<EventSummary>, StoreError> {
    let rows = inbox::list(tollgate.db(), filter, after, READ).await?;
    Ok(Page::new(rows, ROWS, |event| Cursor { at: event.received_at, key: event.id.to_string() }))
}

/// An event with its body.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// The event, as in a list.
    pub summary: EventSummary,
    /// The signed body. It holds customers' data.
    pub payload: String,
}

/// Reads an event.
pub async fn event(tollgate: &Tollgate, _: &OperatorPermit, id: &EventId) -> Result<Option<EventDetail>, StoreError> {
    let summary = inbox::by_id(tollgate.db(), id).await?;
    let payload = inbox::payload(tollgate.db(), id).await?;
    Ok(summary.zip(payload).map(|(summary, payload)| EventDetail { summary, payload }))
}

/// Schedules every parked event to be applied again, and returns their number.
pub async fn replay_parked(tollgate: &Tollgate, _: &OperatorPermit) -> Result<u64, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let due = inbox::replay_parked(&mut tx, tollgate.now()).await?;
    tx.commit().await?;
    tollgate.wake_worker().notify_one();
    Ok(due)
}

/// Schedules an event to be applied again. Returns `false` if it does not exist or has no object.
pub async fn replay(tollgate: &Tollgate, _: &OperatorPermit, id: &EventId) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let is_due = inbox::replay(&mut tx, id, tollgate.now()).await?;
    tx.commit().await?;
    tollgate.wake_worker().notify_one();
    Ok(is_due)
}
