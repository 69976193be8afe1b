//! Dropping cached entries when their rows are written.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::other_processes::OtherProcesses;
use crate::store::{Db, StoreError, Tx};

/// The PostgreSQL channel that carries the subjects of writes.
pub const CHANNEL: &str = "tollgate_changed";

/// A cache whose entries can be dropped.
pub(super) trait CachedEntries: Send + Sync {
    /// Drops the entry for a subject.
    fn drop_subject(&self, subject: &str);
    /// Drops every entry.
    fn drop_all(&self);
}

/// Drops entries when their rows are written, here and on every other node. A subject is an account's
/// id, or a name that the host chooses for its own rows. Cheap to clone.
#[derive(Clone)]
pub struct Invalidation(Arc<Inner>);

struct Inner {
    registered: RwLock<Vec<Box<dyn CachedEntries>>>,
    /// Counts invalidations, so that a read in progress during one is not cached.
    count: AtomicU64,
    /// Whether this node is notified of other nodes' writes.
    is_trusted: AtomicBool,
    /// The subjects of the commits in progress, once for each commit.
    committing: Mutex<Vec<String>>,
    other_processes: OtherProcesses,
}

impl fmt::Debug for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidation").field("is_trusted", &self.is_trusted()).finish_non_exhaustive()
    }
}

/// A commit in progress. From the moment it becomes visible until the invalidation, a cached entry is
/// out of date.
pub(super) struct Committing {
    invalidation: Invalidation,
    subjects: Vec<String>,
}

impl Drop for Committing {
    fn drop(&mut self) {
        let mut committing = self.invalidation.committing();
        for subject in &self.subjects {
            if let Some(place) = committing.iter().position(|other| other == subject) {
                committing.swap_remove(place);
            }
        }
    }
}

impl Invalidation {
    /// Creates the invalidation for a database. If other nodes write to it, nothing is cached until
    /// [`Invalidation::trust`] confirms that this node is notified of their writes.
    pub fn new(db: &Db) -> Self {
        Self(Arc::new(Inner {
            registered: RwLock::default(),
            count: AtomicU64::new(0),
            is_trusted: AtomicBool::new(!db.is_shared()),
            committing: Mutex::default(),
            other_processes: OtherProcesses::new(db),
        }))
    }

    pub(super) fn register(&self, entries: impl CachedEntries + 'static) {
        self.0.registered.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(entries));
    }

    /// Commits a transaction that changed these subjects, and drops their entries here and on every
    /// other node. It runs to completion even if the caller's future is dropped.
    pub async fn commit(&self, mut tx: Tx, changed: Vec<String>) -> Result<(), StoreError> {
        let invalidation = self.clone();
        let committing = tokio::spawn(async move {
            for subject in &changed {
                tx.notify(CHANNEL, subject).await?;
            }
            let committing = invalidation.begin_commit(changed);
            let committed = tx.commit().await;
            // Also after an error: the commit may have happened.
            for subject in &committing.subjects {
                invalidation.invalidate(subject);
            }
            invalidation.0.other_processes.report();
            committed
        });
        committing.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    pub(super) fn begin_commit(&self, subjects: Vec<String>) -> Committing {
        self.committing().extend(subjects.iter().cloned());
        Committing { invalidation: self.clone(), subjects }
    }

    /// Drops the entries for a subject.
    pub fn invalidate(&self, subject: &str) {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.each(|entries| entries.drop_subject(subject));
    }

    /// Sets whether this node is notified of other nodes' writes, and drops every entry.
    pub fn trust(&self, is_trusted: bool) {
        self.0.is_trusted.store(is_trusted, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.each(|entries| entries.drop_all());
    }

    /// Makes this the process to which others report their commits, if the database is an SQLite file. Their
    /// earlier ones are not known: call [`Invalidation::trust`] after the first call.
    pub fn listen_to_other_processes(&self) -> Result<(), StoreError> {
        Ok(self.0.other_processes.listen().map_err(sqlx::Error::Io)?)
    }

    /// Returns the number of other processes' commits that entries for this subject must include, or `None` if the
    /// cache may be neither read nor filled for it.
    pub(super) fn allows(&self, subject: &str) -> Option<u64> {
        let is_allowed = self.is_trusted() && !self.committing().iter().any(|other| other == subject);
        self.0.other_processes.count().filter(|_| is_allowed)
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.0.is_trusted.load(Ordering::SeqCst)
    }

    /// Returns the number of invalidations so far.
    pub(super) fn count(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    fn each(&self, act: impl Fn(&dyn CachedEntries)) {
        for entries in self.0.registered.read().unwrap_or_else(PoisonError::into_inner).iter() {
            act(&**entries);
        }
    }

    fn committing(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
