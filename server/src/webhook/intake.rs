//! Writing events down, many in one commit.
//!
//! A commit waits for the disk; under load that is most of what a delivery costs. So
//! whoever comes while a commit is under way waits for the next one, and that one
//! takes everybody who waits. Alone, a delivery waits for nobody. An answer is given
//! only after the commit that holds the event (`tests/store/intake.rs`).

use std::sync::{Mutex, PoisonError};

use billing::{EventId, Timestamp};
use serde_json::Value;
use tokio::sync::oneshot;

use super::events::Hint;
use crate::store::inbox::{self, EventState, NewEvent};
use crate::store::{Db, StoreError};
use crate::stripe::shape::{self, Event};

/// The most events in one commit.
const MOST: usize = 256;

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

struct Waiting {
    event: Incoming,
    answer: oneshot::Sender<Result<bool, StoreError>>,
}

/// Those who wait for a commit.
#[derive(Default)]
pub struct Intake {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Writes an event down and returns when it is durable. `false` when it was there already.
    ///
    /// # Errors
    /// It could not be written down; nothing of it was.
    pub async fn write(&self, db: &Db, event: Incoming, at: Timestamp) -> Result<bool, StoreError> {
        let (answer, mut answered) = oneshot::channel();
        self.queue().push(Waiting { event, answer });
        loop {
            // Whoever has the turn commits for all who wait, perhaps for us too.
            let turn = self.turn.lock().await;
            match answered.try_recv() {
                Ok(written) => return written,
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(StoreError::Database(sqlx::Error::WorkerCrashed));
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let batch: Vec<Waiting> = {
                let mut waiting = self.queue();
                let most = waiting.len().min(MOST);
                waiting.drain(..most).collect()
            };
            commit(db, batch, at).await;
            drop(turn);
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn commit(db: &Db, mut batch: Vec<Waiting>, at: Timestamp) {
    // In one order everywhere: two nodes that insert the same events must not wait for each other.
    batch.sort_by(|a, b| a.event.id.cmp(&b.event.id));
    let events: Vec<&Incoming> = batch.iter().map(|waiting| &waiting.event).collect();
    match write_all(db, &events, at).await {
        Ok(written) => {
            for (waiting, new) in batch.into_iter().zip(written) {
                // Nobody listens any more: the event is kept all the same, and Stripe delivers it again.
                let _ = waiting.answer.send(Ok(new));
            }
        }
        // One bad row must not refuse the others.
        Err(_) if batch.len() > 1 => {
            for waiting in batch {
                let alone = write_all(db, &[&waiting.event], at).await;
                let _ = waiting.answer.send(alone.map(|written| written.first().copied().unwrap_or_default()));
            }
        }
        Err(error) => {
            if let Some(waiting) = batch.into_iter().next() {
                let _ = waiting.answer.send(Err(error));
            }
        }
    }
}

async fn write_all(db: &Db, events: &[&Incoming], at: Timestamp) -> Result<Vec<bool>, StoreError> {
    let mut tx = db.begin().await?;
    let mut written = Vec::new();
    for event in events {
        written.push(inbox::insert(&mut tx, &event.row(), at).await?);
    }
    tx.commit().await?;
    Ok(written)
}
