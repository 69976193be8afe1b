//! Applies the events in the inbox: claims by lease, groups by what they are about,
//! asks Stripe once per group, and commits state and "done" together.
//!
//! A subject is worked on by one at a time, across nodes. What fails is tried again, later and
//! later, and after [`MOST_TRIES`] it is parked for a person; an answer of Stripe's that cannot be
//! read gets [`TRIES_OF_THE_UNREADABLE`]. What takes down whoever tries it is parked too, and does not
//! go round for ever. Nothing is claimed that is not begun at once, and a lease is renewed only while
//! its group is worked on: a worker that is told to stop finishes what it is on, and one that is killed
//! loses its leases when they run out (`tests/http/inbox.rs`).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use billing::EventId;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::events::Hint;
use crate::ids;
use crate::store::StoreError;
use crate::store::inbox::{self, Claimed, EventState, Lease};
use crate::stripe::{GatewayError, shape};
use crate::sync::{self, Along, Object, SyncError};
use crate::tollgate::Tollgate;

/// Seconds that a claim holds. It is renewed while the work goes on, however slow Stripe is.
const LEASE: i64 = 60;
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(15);
/// Groups worked on at a time, and so the most events that are claimed at a time.
const AT_ONCE: usize = 16;
/// Tries after which an event is parked.
pub const MOST_TRIES: i64 = 15;
/// Tries after which an event is parked because Stripe's answer lacks what it must have.
pub const TRIES_OF_THE_UNREADABLE: i64 = 5;
/// The longest wait between two looks at the inbox.
const IDLE: Duration = Duration::from_secs(5);

/// Works until `stop`.
pub async fn run(tollgate: Tollgate, stop: CancellationToken) {
    let mut worker = Worker::new(tollgate, stop);
    worker.take_over().await;
    worker.work().await;
    worker.let_go().await;
}

/// Works until nothing is due any more: for a command, beside which no server may be running.
pub async fn work_off(tollgate: &Tollgate) {
    let mut worker = Worker::new(tollgate.clone(), CancellationToken::new());
    let mut renewal = renewals();
    loop {
        if worker.claim().await {
            continue;
        }
        tokio::select! {
            done = worker.at_work.join_next_with_id() => match done {
                Some(done) => worker.put_down(done),
                None => break,
            },
            _ = renewal.tick() => worker.renew().await,
        }
    }
    worker.let_go().await;
}

/// When leases are renewed. What was missed while there was nothing to renew is not made up for.
fn renewals() -> Interval {
    let mut renewals = tokio::time::interval(RENEW);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewals
}

type Done = Result<(task::Id, Result<(), StoreError>), JoinError>;

struct Worker {
    tollgate: Tollgate,
    stop: CancellationToken,
    owner: String,
    at_work: JoinSet<Result<(), StoreError>>,
    /// What each of those at work holds.
    held: HashMap<task::Id, Vec<Lease>>,
}

impl Worker {
    fn new(tollgate: Tollgate, stop: CancellationToken) -> Self {
        Self { tollgate, stop, owner: ids::new_id(), at_work: JoinSet::new(), held: HashMap::new() }
    }

    /// On SQLite, which has one node, what is leased is leased by one that died.
    async fn take_over(&self) {
        if self.tollgate.db().postgres_pool().is_some() {
            return;
        }
        let released = async {
            let mut tx = self.tollgate.db().begin().await?;
            inbox::release_all(&mut tx).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "the leases of the last run stay until they run out");
        }
    }

    async fn work(&mut self) {
        let mut renewal = renewals();
        while !self.stop.is_cancelled() {
            if self.claim().await {
                continue;
            }
            let has_room = self.at_work.len() < AT_ONCE;
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(done) = self.at_work.join_next_with_id() => self.put_down(done),
                _ = renewal.tick(), if !self.at_work.is_empty() => self.renew().await,
                () = self.tollgate.inbox_filled().notified(), if has_room => {}
                () = something_due(&self.tollgate), if has_room => {}
            }
        }
    }

    /// Claims as much of what is due as there is room for, and sets to work on it. `false` when that
    /// was nothing.
    async fn claim(&mut self) -> bool {
        let room = i64::try_from(AT_ONCE.saturating_sub(self.at_work.len())).unwrap_or_default();
        if room == 0 {
            return false;
        }
        let now = self.tollgate.now();
        let claimed = inbox::claim(self.tollgate.db(), &self.owner, now, now.plus_seconds(LEASE), room).await;
        let claimed = match claimed {
            Ok(claimed) if claimed.is_empty() => return false,
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "the inbox cannot be read");
                return false;
            }
        };
        let mut groups: HashMap<Option<String>, Vec<Claimed>> = HashMap::new();
        for event in claimed {
            if event.attempts > MOST_TRIES {
                self.park_the_fatal(&event).await;
                continue;
            }
            groups.entry(event.subject.clone()).or_default().push(event);
        }
        for events in groups.into_values() {
            let tollgate = self.tollgate.clone();
            let leases: Vec<Lease> = events.iter().map(|event| event.lease(&self.owner)).collect();
            let held = leases.clone();
            let begun = self.at_work.spawn(async move { apply(&tollgate, &events, &leases).await });
            self.held.insert(begun.id(), held);
        }
        true
    }

    /// Whoever tried it last did not come back to say how it went.
    async fn park_the_fatal(&self, event: &Claimed) {
        tracing::error!(event = event.event_id, "the last try of this event did not come to an end; it is parked");
        let why =
            "it was tried again and again, and the last try did not come to an end: the log of that time says why";
        if let Err(error) = park(&self.tollgate, &[event.lease(&self.owner)], why).await {
            tracing::error!(%error, "it could not be parked; its lease runs out by itself");
        }
    }

    /// Takes note that a group is done with. What could not be marked is held no longer than its lease.
    fn put_down(&mut self, done: Done) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.held.remove(&id);
        match done {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(error))) => {
                tracing::error!(%error, "an event could not be marked; its lease runs out by itself");
            }
            Err(error) => tracing::error!(%error, "applying an event panicked; its lease runs out by itself"),
        }
    }

    async fn renew(&self) {
        let now = self.tollgate.now();
        let renewed = async {
            let mut tx = self.tollgate.db().begin().await?;
            for lease in self.held.values().flatten() {
                inbox::renew(&mut tx, lease, now, now.plus_seconds(LEASE)).await?;
            }
            tx.commit().await
        };
        if let Err(error) = renewed.await {
            tracing::warn!(%error, "leases not renewed; another node may take over");
        }
    }

    async fn let_go(&mut self) {
        while let Some(done) = self.at_work.join_next_with_id().await {
            self.put_down(done);
        }
    }
}

/// Applies the events of one subject, each of which is held by its lease.
async fn apply(tollgate: &Tollgate, events: &[Claimed], leases: &[Lease]) -> Result<(), StoreError> {
    let objects: BTreeSet<Object> = events.iter().filter_map(about).collect();
    if objects.is_empty() {
        return park(tollgate, leases, "nothing to look at is known for it").await;
    }
    let unnamed: Vec<EventId> =
        events.iter().filter(|event| event.customer_id.is_none()).map(|event| EventId::new(&event.event_id)).collect();
    match sync::objects(tollgate, &objects, Along::events(leases, &unnamed)).await {
        Ok(_) => {}
        Err(error @ SyncError::TakenOver(_)) => tracing::warn!(%error, "too slow: left to whoever has it now"),
        Err(error) => put_off(tollgate, leases, &error).await?,
    }
    Ok(())
}

/// What an event makes us look at, read again from what was signed.
fn about(event: &Claimed) -> Option<Object> {
    let value = serde_json::from_str(&event.payload).ok()?;
    Hint::of(&shape::event(&value).ok()?).map(|hint| hint.object)
}

async fn put_off(tollgate: &Tollgate, leases: &[Lease], error: &SyncError) -> Result<(), StoreError> {
    let most = match error {
        SyncError::Stripe(GatewayError::Shape(_)) => TRIES_OF_THE_UNREADABLE,
        _ => MOST_TRIES,
    };
    let why = error.to_string();
    let mut tx = tollgate.db().begin().await?;
    for lease in leases {
        let (event, tries) = (&lease.event, lease.attempt);
        let state = if tries >= most { EventState::Parked } else { EventState::Pending };
        tracing::warn!(%error, tries, state = state.as_str(), "event {event} could not be applied");
        let next = tollgate.now().plus_seconds(backoff(tries, event.as_str()));
        inbox::postpone(&mut tx, lease, state, next, &why).await?;
    }
    tx.commit().await
}

async fn park(tollgate: &Tollgate, leases: &[Lease], why: &str) -> Result<(), StoreError> {
    let mut tx = tollgate.db().begin().await?;
    for lease in leases {
        inbox::postpone(&mut tx, lease, EventState::Parked, tollgate.now(), why).await?;
    }
    tx.commit().await
}

/// Seconds until the next try: doubling from two seconds to an hour, spread by a quarter so
/// that events that failed together do not come back together.
fn backoff(tries: i64, event: &str) -> i64 {
    let doubled = 1_i64 << tries.clamp(1, 12);
    let base = doubled.min(3600);
    let spread = event.bytes().fold(tries, |sum, byte| (sum * 31 + i64::from(byte)) % 997);
    base + base * spread / 997 / 4
}

/// Waits until an event is due, or [`IDLE`] has passed.
async fn something_due(tollgate: &Tollgate) {
    let wait = match inbox::next_due(tollgate.db()).await {
        Ok(Some(due)) => {
            let seconds = u64::try_from(due.0.saturating_sub(tollgate.now().0)).unwrap_or_default();
            Duration::from_secs(seconds.max(1)).min(IDLE)
        }
        _ => IDLE,
    };
    tokio::time::sleep(wait).await;
}
