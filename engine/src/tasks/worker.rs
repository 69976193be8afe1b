//! Applying stored events: claims them under a lease, groups them by subject, fetches from Stripe once per
//! group, and commits the objects together with the settled events.
//!
//! A subject is handled by one process at a time, across nodes. Failed events are retried with backoff
//! and parked for an operator after [`MAX_ATTEMPTS`], or after [`MAX_UNREADABLE`] if Stripe's response
//! cannot be read. An event that crashes its worker's process is parked too. Events are claimed only when
//! there is room for them, and a lease is renewed only while its group is in progress: a worker that is
//! asked to stop completes its groups, and one that is killed loses its leases when they expire
//! (`tests/http/inbox.rs`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use billing::EventId;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backoff::backoff;
use crate::core::Core;
use crate::ids;
use crate::inbox::events::hint;
use crate::inbox::object::Object;
use crate::store::StoreError;
use crate::store::inbox::{self, Claimed, EventState, Lease};
use crate::stripe::{GatewayError, objects};
use crate::sync::{self, SyncContext, SyncError};

/// The duration of a lease, in seconds. It is renewed while work is in progress, however slow Stripe is.
const LEASE: i64 = 60;
/// The interval at which leases are renewed.
const RENEW: Duration = Duration::from_secs(15);
/// The maximum number of concurrent groups, and of events claimed at a time.
const MAX_GROUPS: usize = 16;
/// Attempts after which an event is parked.
pub const MAX_ATTEMPTS: i64 = 15;
/// Attempts after which an event is parked because Stripe's response lacks a required field.
pub const MAX_UNREADABLE: i64 = 5;
/// The maximum wait between two polls of the inbox.
const IDLE: Duration = Duration::from_secs(5);
/// The maximum delay before an event is retried, in seconds.
const MAX_BACKOFF: i64 = 3600;

/// Applies events until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let mut worker = Worker::new(core, stop);
    worker.release_orphans().await;
    worker.work().await;
    worker.complete().await;
}

/// Applies events until none is due: for a command, which may run beside a server.
pub async fn drain(core: &Arc<Core>) {
    let mut worker = Worker::new(Arc::clone(core), CancellationToken::new());
    let mut renewals = renewals();
    loop {
        if worker.claim().await {
            continue;
        }
        tokio::select! {
            ended = worker.groups.join_next_with_id() => match ended {
                Some(ended) => worker.forget(ended),
                None => break,
            },
            _ = renewals.tick() => worker.renew().await,
        }
    }
}

/// The timer for renewing leases. Missed ticks are skipped.
fn renewals() -> Interval {
    let mut renewals = tokio::time::interval_at(Instant::now() + RENEW, RENEW);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewals
}

type Ended = Result<(task::Id, Result<(), StoreError>), JoinError>;

struct Worker {
    core: Arc<Core>,
    stop: CancellationToken,
    owner: String,
    groups: JoinSet<Result<(), StoreError>>,
    /// The leases of each group.
    leases: HashMap<task::Id, Vec<Lease>>,
}

impl Worker {
    fn new(core: Arc<Core>, stop: CancellationToken) -> Self {
        Self { core, stop, owner: ids::new_id(), groups: JoinSet::new(), leases: HashMap::new() }
    }

    /// On SQLite, which serves one node, every lease at startup belongs to a dead process.
    async fn release_orphans(&self) {
        if self.core.db().is_shared() {
            return;
        }
        let released = async {
            let mut tx = self.core.db().begin().await?;
            inbox::release_all(&mut tx).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "cannot release the last run's leases; they will expire");
        }
    }

    async fn work(&mut self) {
        let mut renewals = renewals();
        while !self.stop.is_cancelled() {
            if self.claim().await {
                continue;
            }
            let has_room = self.groups.len() < MAX_GROUPS;
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(ended) = self.groups.join_next_with_id() => self.forget(ended),
                _ = renewals.tick(), if !self.groups.is_empty() => self.renew().await,
                () = self.core.wake_worker().notified(), if has_room => {}
                () = until_due(&self.core), if has_room => {}
            }
        }
    }

    /// Claims as many due events as there is room for, and starts applying them. `false` if there were
    /// none.
    async fn claim(&mut self) -> bool {
        let room = i64::try_from(MAX_GROUPS.saturating_sub(self.groups.len())).unwrap_or_default();
        if room == 0 {
            return false;
        }
        let now = self.core.now();
        let claimed = match inbox::claim(self.core.db(), &self.owner, now, now.plus_seconds(LEASE), room).await {
            Ok(claimed) if claimed.is_empty() => return false,
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "cannot read the inbox");
                return false;
            }
        };
        let mut groups: HashMap<Option<String>, Vec<Claimed>> = HashMap::new();
        for event in claimed {
            if event.attempts > MAX_ATTEMPTS {
                self.park_fatal(&event).await;
                continue;
            }
            groups.entry(event.subject.clone()).or_default().push(event);
        }
        for events in groups.into_values() {
            let core = Arc::clone(&self.core);
            let leases: Vec<Lease> = events.iter().map(|event| event.lease(&self.owner)).collect();
            let held = leases.clone();
            let group = self.groups.spawn(async move { apply(&core, &events, &leases).await });
            self.leases.insert(group.id(), held);
        }
        true
    }

    /// Parks an event whose last attempt never ended, so that it does not crash the next process too.
    async fn park_fatal(&self, event: &Claimed) {
        tracing::error!(event = event.event_id, "the last attempt to apply this event never ended; parking it");
        let reason = "attempted too often, and the last attempt did not finish: see the log of that time";
        if let Err(error) = park(&self.core, &[event.lease(&self.owner)], reason).await {
            tracing::error!(%error, "cannot park the event; its lease will expire");
        }
    }

    /// Drops the leases of a finished group. Events that it could not settle become due when their leases
    /// expire.
    fn forget(&mut self, ended: Ended) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.leases.remove(&id);
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(error))) => {
                tracing::error!(%error, "cannot settle an event; its lease will expire");
            }
            Err(error) => tracing::error!(%error, "applying an event panicked; its lease will expire"),
        }
    }

    /// Renews every lease, each in its own transaction: a shared one could deadlock with a group that writes
    /// several of the events.
    async fn renew(&self) {
        for lease in self.leases.values().flatten() {
            if let Err(error) = self.renew_one(lease).await {
                tracing::warn!(%error, "cannot renew a lease; another node may take over");
            }
        }
    }

    async fn renew_one(&self, lease: &Lease) -> Result<(), StoreError> {
        let now = self.core.now();
        let mut tx = self.core.db().begin().await?;
        inbox::renew(&mut tx, lease, now, now.plus_seconds(LEASE)).await?;
        tx.commit().await
    }

    async fn complete(&mut self) {
        while let Some(ended) = self.groups.join_next_with_id().await {
            self.forget(ended);
        }
    }
}

/// Applies the events of one subject.
async fn apply(core: &Core, events: &[Claimed], leases: &[Lease]) -> Result<(), StoreError> {
    let objects: BTreeSet<Object> = events.iter().filter_map(object_of).collect();
    if objects.is_empty() {
        return park(core, leases, "the event names no object to fetch").await;
    }
    let without_customer = events.iter().filter(|event| event.customer_id.is_none());
    let without_customer: Vec<EventId> = without_customer.map(|event| EventId::new(&event.event_id)).collect();
    match sync::objects(core, &objects, SyncContext::events(leases, &without_customer)).await {
        Ok(_) => {}
        Err(error @ SyncError::LeaseLost(_)) => tracing::warn!(%error, "leaving the event to its new worker"),
        Err(error) => reschedule(core, leases, &error).await?,
    }
    Ok(())
}

/// Finds the object that an event is about, from its signed bytes.
fn object_of(event: &Claimed) -> Option<Object> {
    let value = serde_json::from_str(&event.payload).ok()?;
    hint(&objects::event(&value).ok()?).map(|hint| hint.object)
}

async fn reschedule(core: &Core, leases: &[Lease], error: &SyncError) -> Result<(), StoreError> {
    let max_attempts = match error {
        SyncError::Stripe(GatewayError::Object(_)) => MAX_UNREADABLE,
        _ => MAX_ATTEMPTS,
    };
    let reason = error.to_string();
    let mut tx = core.db().begin().await?;
    for lease in leases {
        let (event, attempts) = (&lease.event, lease.attempt);
        let state = if attempts >= max_attempts { EventState::Parked } else { EventState::Pending };
        tracing::warn!(%error, attempts, state = state.as_str(), "cannot apply event {event}");
        let next = core.now().plus_seconds(backoff(attempts, MAX_BACKOFF, event.as_str()));
        inbox::reschedule(&mut tx, lease, state, next, &reason).await?;
    }
    tx.commit().await
}

async fn park(core: &Core, leases: &[Lease], reason: &str) -> Result<(), StoreError> {
    let mut tx = core.db().begin().await?;
    for lease in leases {
        inbox::reschedule(&mut tx, lease, EventState::Parked, core.now(), reason).await?;
    }
    tx.commit().await
}

/// Waits until an event is due, or [`IDLE`] has passed.
async fn until_due(core: &Core) {
    let wait = match inbox::next_due(core.db()).await {
        Ok(Some(due)) => {
            let seconds = u64::try_from(due.0.saturating_sub(core.now().0)).unwrap_or_default();
            Duration::from_secs(seconds.max(1)).min(IDLE)
        }
        _ => IDLE,
    };
    tokio::time::sleep(wait).await;
}
