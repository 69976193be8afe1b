//! Writing events down, many in one commit.
//!
//! An answer is given only after the commit that holds the event; an event that cannot be
//! written does not refuse those beside it (`tests/store/intake.rs`).

use std::sync::Arc;

use billing::{EventId, Timestamp};
use serde_json::Value;

use super::events::Hint;
use crate::store::inbox::{self, EventState, NewEvent};
use crate::store::log::Written;
use crate::store::{Db, GroupCommit, StoreError};
use crate::stripe::shape::{self, Event};

/// A verified event on its way into the inbox.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Stripe's id.
    pub id: EventId,
    /// Stripe's type.
    pub kind: String,
    /// The API version it was rendered in.
    pub api_version: Option<String>,
    /// Stripe's time.
    pub created: Timestamp,
    /// What it is about.
    pub subject: Option<String>,
    /// Whose it is at Stripe.
    pub customer: Option<String>,
    /// The bytes that were signed.
    pub payload: String,
    /// `Pending` or `Ignored`.
    pub state: EventState,
}

impl Incoming {
    /// A verified event with the bytes that were signed: to be applied, if it is about anything.
    pub fn of(event: Event, payload: String) -> Self {
        let hint = Hint::of(&event);
        // A customer's own events are about it; the others name it.
        let customer = match event.object.get("object").and_then(Value::as_str) {
            Some("customer") => shape::id_of(&event.object, "/id"),
            _ => shape::id_of(&event.object, "/customer"),
        };
        Self {
            state: if hint.is_some() { EventState::Pending } else { EventState::Ignored },
            subject: hint.map(|hint| hint.subject),
            customer,
            payload,
            id: event.id,
            kind: event.kind,
            api_version: event.api_version,
            created: event.created,
        }
    }

    fn row(&self) -> NewEvent<'_> {
        NewEvent {
            id: &self.id,
            kind: &self.kind,
            api_version: self.api_version.as_deref(),
            created: self.created,
            subject: self.subject.as_deref(),
            customer: self.customer.as_deref(),
            payload: &self.payload,
            state: self.state,
        }
    }
}

/// Where events are written down together.
#[derive(Clone, Debug, Default)]
pub struct Intake(GroupCommit<(Incoming, Timestamp), bool>);

impl Intake {
    /// Writes an event down and returns when it is durable. `false` when it was there already.
    ///
    /// # Errors
    /// It could not be written down; nothing of it was.
    pub async fn write(&self, db: &Db, event: Incoming, at: Timestamp) -> Result<bool, StoreError> {
        let db = db.clone();
        self.0.commit((event, at), move |events| write_all(db.clone(), events)).await
    }
}

async fn write_all(db: Db, events: Arc<[(Incoming, Timestamp)]>) -> Result<(Vec<bool>, Written), StoreError> {
    let mut rows: Vec<_> = events.iter().map(|(event, at)| (event.row(), *at)).collect();
    rows.sort_by_key(|(row, _)| row.id);
    let mut tx = db.begin().await?;
    let mut new = inbox::insert_all(&mut tx, &rows).await?;
    let written = tx.commit_ahead().await?;
    // Of several deliveries of one event the first is the new one.
    Ok((events.iter().map(|(event, _)| new.remove(event.id.as_str())).collect(), written))
}
