//! Storing events, many in one commit.
//!
//! An answer is given only after the commit that holds the event; an event that cannot be stored does
//! not refuse the others (`tests/store/intake.rs`).

use std::sync::Arc;

use billing::Timestamp;
use serde_json::Value;

use super::events;
use crate::store::inbox::{self, EventState, NewEvent};
use crate::store::{Db, GroupCommit, StoreError};
use crate::stripe::objects::{self, Event};

/// A verified event with its signed bytes, to be applied if it is about anything.
pub fn new_event(event: Event, payload: String, received_at: Timestamp) -> NewEvent {
    let hint = events::hint(&event);
    // A customer's own events are about it; the others name it.
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

/// Stores events together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake(GroupCommit<NewEvent, bool>);

impl Intake {
    /// An intake for this database.
    pub fn new(db: &Db) -> Self {
        let db = db.clone();
        Self(GroupCommit::new(move |events| store(db.clone(), events)))
    }

    /// Stores an event and returns when it is durable. `false` when it was stored before.
    ///
    /// # Errors
    /// It was not stored.
    pub async fn store(&self, event: NewEvent) -> Result<bool, StoreError> {
        self.0.submit(event).await
    }
}

async fn store(db: Db, events: Arc<[NewEvent]>) -> Result<Vec<bool>, StoreError> {
    let mut sorted = events.to_vec();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut tx = db.begin().await?;
    let mut new = inbox::insert(&mut tx, &sorted).await?;
    tx.commit().await?;
    // Of several deliveries of one event the first is the new one.
    Ok(events.iter().map(|event| new.remove(event.id.as_str())).collect())
}
