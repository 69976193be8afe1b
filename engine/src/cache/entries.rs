//! Cached rows, by subject.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Moka;

use super::invalidation::{CachedEntries, Invalidation};

/// The maximum age of an entry. It could stay forever; this limits the damage of a bug.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);
const MAX_ENTRIES: u64 = 100_000;

/// Cached rows of one kind, by subject. Cheap to clone; clones share the entries.
#[derive(Clone)]
pub struct Entries<T> {
    entries: Moka<String, Entry<T>>,
    invalidation: Invalidation,
}

/// A cached row.
struct Entry<T> {
    row: Arc<T>,
    /// How many commits of other processes had been reported before it was read.
    others: u64,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { row: Arc::clone(&self.row), others: self.others }
    }
}

impl<T> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Entries<T> {
    /// Creates an empty cache whose entries are kept until `invalidation` drops them.
    pub fn new(invalidation: &Invalidation) -> Self {
        let entries = Moka::builder().max_capacity(MAX_ENTRIES).time_to_live(TIME_TO_LIVE).build();
        invalidation.register(entries.clone());
        Self { entries, invalidation: invalidation.clone() }
    }

    /// Returns the entry for a subject, from the cache or else from `read`. A missing row is not cached.
    pub async fn get<E>(
        &self,
        subject: &str,
        read: impl Future<Output = Result<Option<T>, E>> + Send,
    ) -> Result<Option<Arc<T>>, E> {
        let others = self.invalidation.allows(subject);
        let hit = others.and_then(|others| self.entries.get(subject).filter(|hit| hit.others == others));
        if let Some(hit) = hit {
            return Ok(Some(hit.row));
        }
        let before = self.invalidation.count();
        let Some(read) = read.await?.map(Arc::new) else { return Ok(None) };
        let is_current = || self.invalidation.is_trusted() && self.invalidation.count() == before;
        if let Some(others) = others.filter(|_| is_current()) {
            self.entries.insert(subject.to_owned(), Entry { row: Arc::clone(&read), others });
            // A write that ended during the read could not drop this entry, because it was inserted later.
            if !is_current() {
                self.entries.invalidate(subject);
            }
        }
        Ok(Some(read))
    }
}

impl<T: Send + Sync + 'static> CachedEntries for Moka<String, Entry<T>> {
    fn drop_subject(&self, subject: &str) {
        self.invalidate(subject);
    }

    fn drop_all(&self) {
        self.invalidate_all();
    }
}
