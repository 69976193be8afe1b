//! Applying stored events: claims them under a lease, groups them by subject, fetches from Stripe once per
//! group, and commits the objects together with the settled events.
//!
//! One process at a time works on a subject, across nodes. An event that cannot be applied is retried or parked
//! (`apply`), and an event that crashes its worker's process is parked as well. While Stripe is unavailable,
//! only a single subject is claimed from time to time. Nothing is claimed before the API key's account is
//! confirmed and there is room for it, and a lease is renewed only while its group is in progress: a worker
//! that is asked to stop completes its groups, and one that is killed loses its leases when they expire
//! (`tests/http/inbox.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::apply::{MAX_ATTEMPTS, apply, park};
use crate::core::Core;
use crate::ids;
use crate::store::StoreError;
use crate::store::inbox::{self, Claimed, Lease};
use crate::stripe::in_background;
use crate::stripe_account::{self, StripeAccountError};

/// The duration of a lease, in seconds. It is renewed while work is in progress, however slow Stripe is.
const LEASE: i64 = 60;
/// The interval at which leases are renewed.
const RENEW: Duration = Duration::from_secs(15);
/// The maximum number of concurrent groups, and of subjects claimed at a time.
const MAX_GROUPS: usize = 16;
/// The maximum number of groups while many webhooks arrive. Storing those comes first, because Stripe waits for it, and
/// every group competes with it for the database and the CPU. So the worker also rests after each group for as long as
/// it worked (docs/decisions/0015).
const MAX_GROUPS_WHEN_BUSY: usize = 1;
/// The number of webhooks per second from which they are many.
const BUSY: f64 = 200.0;
/// The interval in which webhooks are counted.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// The maximum wait between two polls of the inbox.
const IDLE: Duration = Duration::from_secs(5);

/// Applies events until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let mut worker = Worker::new(core, stop);
    worker.release_orphans().await;
    worker.work().await;
    worker.complete().await;
}

/// Applies events until none is due: for a command, which may run alongside a server.
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

/// Returns the timer for renewing leases. Missed ticks are skipped.
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
    arrivals: Arrivals,
    /// When something was last claimed.
    claimed_at: Instant,
    rests_until: Instant,
}

/// How many webhooks arrive at this process.
struct Arrivals {
    counted_at: Instant,
    stored: u64,
    are_many: bool,
}

impl Arrivals {
    fn new(stored: u64) -> Self {
        Self { counted_at: Instant::now(), stored, are_many: false }
    }

    /// Returns whether many arrive, given the number stored so far.
    fn are_many(&mut self, stored: u64, now: Instant) -> bool {
        let elapsed = now - self.counted_at;
        if elapsed >= COUNT_EVERY {
            let arrived = stored - self.stored;
            *self = Self { counted_at: now, stored, are_many: arrived as f64 > BUSY * elapsed.as_secs_f64() };
        }
        self.are_many
    }
}

impl Worker {
    fn new(core: Arc<Core>, stop: CancellationToken) -> Self {
        let (arrivals, now) = (Arrivals::new(core.intake().stored()), Instant::now());
        Self {
            core,
            stop,
            owner: ids::new_id(),
            groups: JoinSet::new(),
            leases: HashMap::new(),
            arrivals,
            claimed_at: now,
            rests_until: now,
        }
    }

    /// On SQLite, which serves one node, every lease at startup belongs to a process that has ended.
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
            let rests = Instant::now() < self.rests_until;
            if !rests && self.claim().await {
                continue;
            }
            let has_room = !rests && self.groups.len() < self.max_groups();
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep_until(self.rests_until), if rests => {}
                Some(ended) = self.groups.join_next_with_id() => {
                    self.forget(ended);
                    self.rest();
                }
                _ = renewals.tick(), if !self.groups.is_empty() => self.renew().await,
                () = self.core.wake_worker().notified(), if has_room => {}
                () = until_due(&self.core), if has_room => {}
            }
        }
    }

    /// Returns whether the API key belongs to the account of the stored objects. Nothing is applied before this
    /// is confirmed.
    async fn has_confirmed_account(&self) -> bool {
        if self.core.stripe_account().get().is_some() {
            return true;
        }
        // Stripe is queried only when there is something to apply.
        let due = inbox::next_due(self.core.db()).await.ok().flatten();
        if due.is_none_or(|due| due > self.core.now()) {
            return false;
        }
        match self.stop.run_until_cancelled(stripe_account::verify(&self.core)).await {
            Some(Ok(_)) => true,
            Some(Err(error @ (StripeAccountError::Other(_) | StripeAccountError::Stripe(_)))) => {
                tracing::error!(%error, "the account of the API key is not confirmed; no event is applied");
                self.core.circuit_breaker().record_failure(self.core.now(), &error.to_string());
                false
            }
            Some(Err(StripeAccountError::Store(error))) => {
                tracing::error!(%error, "cannot read the stored Stripe account; no event is applied");
                false
            }
            None => false,
        }
    }

    /// Returns the number of subjects that may be claimed. While Stripe is unavailable it is one, which shows
    /// whether Stripe responds again.
    fn room(&mut self) -> i64 {
        let room = match self.core.circuit_breaker().outage() {
            None => self.max_groups().saturating_sub(self.groups.len()),
            Some(outage) => usize::from(self.groups.is_empty() && outage.retry_at <= self.core.now()),
        };
        i64::try_from(room).unwrap_or_default()
    }

    fn max_groups(&mut self) -> usize {
        if self.is_busy() { MAX_GROUPS_WHEN_BUSY } else { MAX_GROUPS }
    }

    fn is_busy(&mut self) -> bool {
        self.arrivals.are_many(self.core.intake().stored(), Instant::now())
    }

    /// Rests while many webhooks arrive.
    fn rest(&mut self) {
        if self.is_busy() {
            let now = Instant::now();
            self.rests_until = now + (now - self.claimed_at).min(IDLE);
        }
    }

    /// Claims the due events of as many subjects as there is room for, and starts applying them. `false` if
    /// there were none.
    async fn claim(&mut self) -> bool {
        let room = self.room();
        if room == 0 || !self.has_confirmed_account().await {
            return false;
        }
        self.claimed_at = Instant::now();
        let now = self.core.now();
        let claimed = match inbox::claim(self.core.db(), &self.owner, now, now.plus_seconds(LEASE), room).await {
            Ok(claimed) if claimed.is_empty() => return false,
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "cannot read the inbox");
                return false;
            }
        };
        let mut groups: HashMap<String, Vec<Claimed>> = HashMap::new();
        for event in claimed {
            if event.tries() > MAX_ATTEMPTS {
                self.park_fatal(&event).await;
                continue;
            }
            groups.entry(event.subject.clone()).or_default().push(event);
        }
        for events in groups.into_values() {
            let (core, owner) = (Arc::clone(&self.core), self.owner.clone());
            let leases: Vec<Lease> = events.iter().map(|event| event.lease(&owner)).collect();
            let group = self.groups.spawn(in_background(async move { apply(&core, &events, &owner).await }));
            self.leases.insert(group.id(), leases);
        }
        true
    }

    /// Parks an event whose last attempt never ended, so that it does not crash the next process.
    async fn park_fatal(&self, event: &Claimed) {
        tracing::error!(event = event.event_id, "the last attempt to apply this event never ended; parking it");
        let reason = "attempted too often, and the last attempt did not finish: see the log from that time";
        if let Err(error) = park(&self.core, &[event], &self.owner, reason).await {
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

    async fn renew(&self) {
        let leases: Vec<&Lease> = self.leases.values().flatten().collect();
        let now = self.core.now();
        if let Err(error) = inbox::renew(self.core.db(), &leases, now, now.plus_seconds(LEASE)).await {
            tracing::warn!(%error, "cannot renew leases; another node may take over");
        }
    }

    async fn complete(&mut self) {
        while let Some(ended) = self.groups.join_next_with_id().await {
            self.forget(ended);
        }
    }
}

/// Waits until an event may be applied, or [`IDLE`] has passed.
async fn until_due(core: &Core) {
    let resumes = core.circuit_breaker().outage().map(|outage| outage.retry_at);
    let wait = match inbox::next_due(core.db()).await {
        Ok(Some(due)) => {
            let at = due.max(resumes.unwrap_or(due));
            let seconds = u64::try_from(at.0.saturating_sub(core.now().0)).unwrap_or_default();
            Duration::from_secs(seconds.max(1)).min(IDLE)
        }
        _ => IDLE,
    };
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_many_while_more_than_the_limit_are_stored_per_second() {
        let mut arrivals = Arrivals::new(1000);
        let start = arrivals.counted_at;
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!arrivals.are_many(5000, at(249)), "not counted yet");
        assert!(arrivals.are_many(5000, at(250)));
        assert!(arrivals.are_many(5000, at(499)));
        assert!(!arrivals.are_many(5050, at(500)), "50 in a quarter of a second is not more than 200 per second");
        assert!(arrivals.are_many(5101, at(750)));
    }
}
