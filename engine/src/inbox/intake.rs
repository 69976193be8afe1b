//! Storing events, batched into group commits.
//!
//! A call returns only after its event's commit; an event that cannot be stored does not fail the others
//! (`tests/store/intake.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use billing::Timestamp;
use serde_json::Value;

use super::events;
use crate::store::inbox::{self, EventState, NewEvent};
use crate::store::{Batch, Db, GroupCommit, StoreError};
use crate::stripe::objects::{self, Event};

/// Builds the row for a verified event and its signed bytes; it is ignored if it changes nothing here.
pub fn new_event(event: Event, payload: String, received_at: Timestamp) -> NewEvent {
    let hint = events::hint(&event);
    // In a customer's own events the object is the customer; in others it refers to one.
    let customer = match event.object.get("object").and_then(Value::as_str) {
        Some("customer") => objects::id_of(&event.object, "/id"),
        _ => objects::id_of(&event.object, "/customer"),
    };
    NewEvent {
        state: if hint.is_some() { EventState::Pending } else { EventState::Ignored },
        subject: hint.map(|hint| hint.subject),
        customer,
        payload,
        id: event.id,
        kind: event.kind,
        api_version: event.api_version,
        created: event.created,
        received_at,
    }
}

/// Stores concurrent events in shared commits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    commits: GroupCommit<NewEvent, bool>,
    stored: Arc<AtomicU64>,
}

impl Intake {
    /// Creates an intake for this database.
    pub fn new(db: &Db) -> Self {
        let db = db.clone();
        Self { commits: GroupCommit::new(move |events| store(db.clone(), events)), stored: Arc::default() }
    }

    /// Stores an event and returns once it is durable. `false` if it was already stored.
    pub async fn store(&self, event: NewEvent) -> Result<bool, StoreError> {
        let is_new = self.commits.submit(event).await?;
        self.stored.fetch_add(1, Ordering::Relaxed);
        Ok(is_new)
    }

    /// Returns the number of deliveries stored by this process so far, including repeated ones.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }
}

async fn store(db: Db, events: Arc<[NewEvent]>) -> Result<Batch<bool>, StoreError> {
    let mut sorted = events.to_vec();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut tx = db.begin().await?;
    let mut new = inbox::insert(&mut tx, &sorted).await?;
    // Of several deliveries of one event the first is the new one. The others wait for its commit too.
    Ok(Batch::written(events.iter().map(|event| new.remove(event.id.as_str())), tx))
}
