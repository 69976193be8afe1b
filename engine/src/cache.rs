//! Subscriptions and contacts of accounts as they were last read, until they are written.
//!
//! The cache holds what was read from the database, not what follows from it: an entitlement changes
//! with the clock alone. Every write drops what it changes, on this node after its commit and on the
//! others by a PostgreSQL notification in the same transaction; a node that has lost its connection to
//! the notifications does not use its cache. No answer from before a write is kept after it, and while
//! a write is being committed on this node, its accounts are read from the database
//! (`tests/store/cache.rs`, docs/decisions/0009).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billing::{AccountId, Subscription};
use moka::future::Cache as Moka;

use crate::store::accounts::{self, Contact};
use crate::store::{Db, StoreError, Tx, subscriptions};

/// The PostgreSQL channel that names accounts that have changed.
pub const CHANNEL: &str = "tollgate_account";

/// The longest time an entry is kept. Entries could live for ever; this bounds what a bug could do.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);
const MAX_ENTRIES: u64 = 100_000;

/// What was read of accounts. Cheap to clone; clones share the entries.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    subscriptions: Entries<Vec<Subscription>>,
    contacts: Entries<Contact>,
    /// Counts invalidations, so that a read that was under way during one is not kept.
    invalidations: AtomicU64,
    /// Whether this node hears of other nodes' writes.
    is_trusted: AtomicBool,
    /// The accounts of the commits under way, once for each commit.
    committing: Mutex<Vec<AccountId>>,
}

/// A commit under way. Between the moment from which others see it and the invalidation, an entry is
/// out of date.
struct Committing {
    cache: Cache,
    accounts: Vec<AccountId>,
}

impl Drop for Committing {
    fn drop(&mut self) {
        let mut committing = self.cache.committing();
        for account in &self.accounts {
            if let Some(place) = committing.iter().position(|other| other == account) {
                committing.swap_remove(place);
            }
        }
    }
}

type Entries<T> = Moka<AccountId, Arc<T>>;

impl Cache {
    /// An empty cache. It is used once [`Cache::trust`] says that writes elsewhere are heard of.
    pub fn new(db: &Db) -> Self {
        Self(Arc::new(Inner {
            subscriptions: entries(),
            contacts: entries(),
            invalidations: AtomicU64::new(0),
            is_trusted: AtomicBool::new(!db.is_shared()),
            committing: Mutex::new(Vec::new()),
        }))
    }

    /// The account's subscriptions, newest first.
    pub async fn subscriptions(&self, db: &Db, account: &AccountId) -> Result<Arc<Vec<Subscription>>, StoreError> {
        let read = async { Ok(Some(subscriptions::of_account(db, account).await?)) };
        Ok(self.get(&self.0.subscriptions, account, read).await?.unwrap_or_default())
    }

    /// How to reach the account's owner; `None` for an account that does not exist.
    pub async fn contact(&self, db: &Db, account: &AccountId) -> Result<Option<Arc<Contact>>, StoreError> {
        self.get(&self.0.contacts, account, accounts::contact(db, account)).await
    }

    async fn get<T: Send + Sync + 'static>(
        &self,
        entries: &Entries<T>,
        account: &AccountId,
        read: impl Future<Output = Result<Option<T>, StoreError>> + Send,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let Inner { invalidations, is_trusted, .. } = &*self.0;
        let may_keep = is_trusted.load(Ordering::SeqCst) && !self.committing().contains(account);
        if may_keep && let Some(hit) = entries.get(account).await {
            return Ok(Some(hit));
        }
        let before = invalidations.load(Ordering::SeqCst);
        let Some(read) = read.await?.map(Arc::new) else { return Ok(None) };
        let is_current = || invalidations.load(Ordering::SeqCst) == before && is_trusted.load(Ordering::SeqCst);
        if may_keep && is_current() {
            entries.insert(account.clone(), Arc::clone(&read)).await;
            // A write that ended during the read has dropped nothing: the entry came after it.
            if !is_current() {
                entries.invalidate(account).await;
            }
        }
        Ok(Some(read))
    }

    /// Commits a transaction that changed these accounts, and drops their entries here and on every
    /// other node. It runs to its end even if the caller goes away.
    pub async fn commit(&self, mut tx: Tx, changed: Vec<AccountId>) -> Result<(), StoreError> {
        let cache = self.clone();
        let committing = tokio::spawn(async move {
            for account in &changed {
                tx.notify(CHANNEL, account.as_str()).await?;
            }
            let committing = cache.begin_commit(changed);
            let committed = tx.commit().await;
            // Also after an error: the commit may have happened.
            for account in &committing.accounts {
                cache.invalidate(account).await;
            }
            committed
        });
        committing.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    fn begin_commit(&self, accounts: Vec<AccountId>) -> Committing {
        self.committing().extend(accounts.iter().cloned());
        Committing { cache: self.clone(), accounts }
    }

    fn committing(&self) -> MutexGuard<'_, Vec<AccountId>> {
        self.0.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops an account's entries.
    pub async fn invalidate(&self, account: &AccountId) {
        self.0.invalidations.fetch_add(1, Ordering::SeqCst);
        self.0.subscriptions.invalidate(account).await;
        self.0.contacts.invalidate(account).await;
    }

    /// Says whether writes elsewhere are heard of, and drops every entry.
    pub fn trust(&self, is_trusted: bool) {
        self.0.is_trusted.store(is_trusted, Ordering::SeqCst);
        self.0.invalidations.fetch_add(1, Ordering::SeqCst);
        self.0.subscriptions.invalidate_all();
        self.0.contacts.invalidate_all();
    }
}

fn entries<T: Send + Sync + 'static>() -> Entries<T> {
    Moka::builder().max_capacity(MAX_ENTRIES).time_to_live(TIME_TO_LIVE).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DatabaseUrl;
    use crate::store::MIGRATIONS;

    #[tokio::test]
    async fn while_a_write_is_being_committed_its_account_is_read_from_the_database() {
        let db = Db::connect(&DatabaseUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
        db.migrate(MIGRATIONS).await.unwrap();
        let cache = Cache::new(&db);
        let read = async |account: &str| cache.subscriptions(&db, &AccountId::new(account)).await.unwrap();
        let (ada, eve) = (read("ada").await, read("eve").await);
        let one = cache.begin_commit(vec![AccountId::new("ada")]);
        let other = cache.begin_commit(vec![AccountId::new("ada")]);
        assert!(!Arc::ptr_eq(&ada, &read("ada").await));
        assert!(Arc::ptr_eq(&eve, &read("eve").await), "other accounts are still cached");
        drop(one);
        assert!(!Arc::ptr_eq(&ada, &read("ada").await));
        drop(other);
        assert!(Arc::ptr_eq(&ada, &read("ada").await));
    }
}
