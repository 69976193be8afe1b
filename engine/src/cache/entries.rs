//! Answers of the database, by what they are about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Moka;

use super::invalidation::{Answers, Invalidation};

/// The longest time an answer is kept. It could be kept for ever; this bounds what a bug could do.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);
const MAX_ENTRIES: u64 = 100_000;

/// Answers of one kind, by subject. Cheap to clone; clones share the answers.
#[derive(Clone)]
pub struct Entries<T> {
    answers: Moka<String, Arc<T>>,
    invalidation: Invalidation,
}

impl<T> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Entries<T> {
    /// No answers yet, kept until `invalidation` says that they are out of date.
    pub fn new(invalidation: &Invalidation) -> Self {
        let answers = Moka::builder().max_capacity(MAX_ENTRIES).time_to_live(TIME_TO_LIVE).build();
        invalidation.register(answers.clone());
        Self { answers, invalidation: invalidation.clone() }
    }

    /// The answer about a subject: the one that is kept, or what `read` reads. That there is none is
    /// not kept.
    pub async fn get<E>(
        &self,
        subject: &str,
        read: impl Future<Output = Result<Option<T>, E>> + Send,
    ) -> Result<Option<Arc<T>>, E> {
        let may_keep = self.invalidation.allows(subject);
        if may_keep && let Some(hit) = self.answers.get(subject) {
            return Ok(Some(hit));
        }
        let before = self.invalidation.count();
        let Some(read) = read.await?.map(Arc::new) else { return Ok(None) };
        let is_current = || self.invalidation.is_trusted() && self.invalidation.count() == before;
        if may_keep && is_current() {
            self.answers.insert(subject.to_owned(), Arc::clone(&read));
            // A write that ended during the read has dropped nothing: the entry came after it.
            if !is_current() {
                self.answers.invalidate(subject);
            }
        }
        Ok(Some(read))
    }
}

impl<T: Send + Sync + 'static> Answers for Moka<String, Arc<T>> {
    fn drop_subject(&self, subject: &str) {
        self.invalidate(subject);
    }

    fn drop_all(&self) {
        self.invalidate_all();
    }
}
