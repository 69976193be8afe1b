//! Subscriptions as they were last read, until they are written.
//!
//! The cache holds what was read from the database, not what follows from it: an entitlement changes
//! with the clock alone. Every write drops what it changes, on this node after its commit and on the
//! others by a PostgreSQL notification in the same transaction; a node that has lost its connection to
//! the notifications does not use its cache. No answer from before a write is kept after it
//! (`tests/store/cache.rs`, docs/decisions/0009).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use billing::{AccountId, Subscription};
use moka::future::Cache as Moka;

use crate::store::{Db, StoreError, Tx, subscriptions};

/// The PostgreSQL channel that names accounts whose subscriptions have changed.
pub const CHANNEL: &str = "tollgate_account";

/// The longest time an entry is kept. Entries could live for ever; this bounds what a bug could do.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);
const MAX_ENTRIES: u64 = 100_000;

/// The subscriptions of accounts. Cheap to clone; clones share the entries.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    subscriptions: Moka<AccountId, Arc<Vec<Subscription>>>,
    /// Counts invalidations, so that a read that was under way during one is not kept.
    invalidations: AtomicU64,
    /// Whether this node hears of other nodes' writes.
    is_trusted: AtomicBool,
}

impl Cache {
    /// An empty cache. It is used once [`Cache::trust`] says that writes elsewhere are heard of.
    pub fn new(db: &Db) -> Self {
        let subscriptions = Moka::builder().max_capacity(MAX_ENTRIES).time_to_live(TIME_TO_LIVE).build();
        let is_trusted = AtomicBool::new(!db.is_shared());
        Self(Arc::new(Inner { subscriptions, invalidations: AtomicU64::new(0), is_trusted }))
    }

    /// The account's subscriptions, newest first.
    pub async fn subscriptions(&self, db: &Db, account: &AccountId) -> Result<Arc<Vec<Subscription>>, StoreError> {
        let Inner { subscriptions: entries, invalidations, is_trusted } = &*self.0;
        let may_keep = is_trusted.load(Ordering::SeqCst);
        if may_keep && let Some(hit) = entries.get(account).await {
            return Ok(hit);
        }
        let before = invalidations.load(Ordering::SeqCst);
        let read = Arc::new(subscriptions::of_account(db, account).await?);
        let is_current = || invalidations.load(Ordering::SeqCst) == before && is_trusted.load(Ordering::SeqCst);
        if may_keep && is_current() {
            entries.insert(account.clone(), Arc::clone(&read)).await;
            // A write that ended during the read has dropped nothing: the entry came after it.
            if !is_current() {
                entries.invalidate(account).await;
            }
        }
        Ok(read)
    }

    /// Commits a transaction that changed these accounts, and drops their entries here and on every
    /// other node. It runs to its end even if the caller goes away.
    pub async fn commit(&self, mut tx: Tx, changed: Vec<AccountId>) -> Result<(), StoreError> {
        let cache = self.clone();
        let committing = tokio::spawn(async move {
            for account in &changed {
                tx.notify(CHANNEL, account.as_str()).await?;
            }
            let committed = tx.commit().await;
            // Also after an error: the commit may have happened.
            for account in &changed {
                cache.invalidate(account).await;
            }
            committed
        });
        committing.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    /// Drops an account's entry.
    pub async fn invalidate(&self, account: &AccountId) {
        self.0.invalidations.fetch_add(1, Ordering::SeqCst);
        self.0.subscriptions.invalidate(account).await;
    }

    /// Says whether writes elsewhere are heard of, and drops every entry.
    pub fn trust(&self, is_trusted: bool) {
        self.0.is_trusted.store(is_trusted, Ordering::SeqCst);
        self.0.invalidations.fetch_add(1, Ordering::SeqCst);
        self.0.subscriptions.invalidate_all();
    }
}
