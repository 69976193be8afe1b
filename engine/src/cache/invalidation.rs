//! Which answers are out of date.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::store::{Db, StoreError, Tx};

/// The PostgreSQL channel that names the subjects of writes.
pub const CHANNEL: &str = "tollgate_changed";

/// Answers that can be dropped.
pub(super) trait Answers: Send + Sync {
    /// Drops the answer about a subject.
    fn drop_subject(&self, subject: &str);
    /// Drops every answer.
    fn drop_all(&self);
}

/// Drops answers when they are written, here and on every other node. A subject is an account's id, or
/// a name that a host gives to rows of its own. Cheap to clone.
#[derive(Clone)]
pub struct Invalidation(Arc<Inner>);

struct Inner {
    registered: RwLock<Vec<Box<dyn Answers>>>,
    /// Counts invalidations, so that a read that was under way during one is not kept.
    count: AtomicU64,
    /// Whether this node is notified of other nodes' writes.
    is_trusted: AtomicBool,
    /// The subjects of the commits under way, once for each commit.
    committing: Mutex<Vec<String>>,
}

impl fmt::Debug for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidation").field("is_trusted", &self.is_trusted()).finish_non_exhaustive()
    }
}

/// A commit under way. Between the moment from which others see it and the invalidation, a kept answer
/// is out of date.
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
    /// For a database. If other nodes write, nothing is kept until [`Invalidation::trust`] confirms
    /// that this node is notified of their writes.
    pub fn new(db: &Db) -> Self {
        Self(Arc::new(Inner {
            registered: RwLock::default(),
            count: AtomicU64::new(0),
            is_trusted: AtomicBool::new(!db.is_shared()),
            committing: Mutex::default(),
        }))
    }

    pub(super) fn register(&self, answers: impl Answers + 'static) {
        self.0.registered.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(answers));
    }

    /// Commits a transaction that changed these subjects, and drops the answers about them here and on
    /// every other node. It runs to its end even if the caller goes away.
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
            committed
        });
        committing.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    pub(super) fn begin_commit(&self, subjects: Vec<String>) -> Committing {
        self.committing().extend(subjects.iter().cloned());
        Committing { invalidation: self.clone(), subjects }
    }

    /// Drops the answers about a subject.
    pub fn invalidate(&self, subject: &str) {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.each(|answers| answers.drop_subject(subject));
    }

    /// Sets whether this node is notified of other writes, and drops every answer.
    pub fn trust(&self, is_trusted: bool) {
        self.0.is_trusted.store(is_trusted, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.each(|answers| answers.drop_all());
    }

    /// Whether an answer about this subject may be kept, and one that is kept be used.
    pub(super) fn allows(&self, subject: &str) -> bool {
        self.is_trusted() && !self.committing().iter().any(|other| other == subject)
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.0.is_trusted.load(Ordering::SeqCst)
    }

    /// How many invalidations there were.
    pub(super) fn count(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    fn each(&self, act: impl Fn(&dyn Answers)) {
        for answers in self.0.registered.read().unwrap_or_else(PoisonError::into_inner).iter() {
            act(&**answers);
        }
    }

    fn committing(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
