//! Who may do what: cached subscriptions, and proof of permission.
//!
//! What is cached is what was read from the database, not what follows from it:
//! an entitlement changes with the clock alone. Every write drops the account's
//! entry, on this node at once and on the others by PostgreSQL's notifications;
//! a node that has lost its line to them does not trust its cache. No answer from
//! before a write is kept after it (`tests/store/access.rs`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use billing::{AccountId, Admission, Entitlement, Policy, Subscription, Tier, Timestamp};
use moka::future::Cache;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::auth::SignedIn;
use crate::store::{Db, StoreError, subscriptions, workspace};
use crate::tollgate::Tollgate;

/// The PostgreSQL channel that names accounts whose rights have changed.
pub(crate) const CHANNEL: &str = "tollgate_access";

/// Subscriptions and API keys by account, as of the last write.
#[derive(Debug)]
pub struct Access {
    cache: Cache<AccountId, Arc<Vec<Subscription>>>,
    /// Whose a key is, by its hash: that never changes. Whether it still opens anything does.
    keys: Cache<String, Arc<KnownKey>>,
    /// The ids of the keys that open something.
    good_keys: Cache<AccountId, Arc<HashSet<String>>>,
    /// Counts the drops, so that a read that was under way during one is not kept.
    drops: AtomicU64,
    /// Whether this node hears of the writes of others.
    trusted: AtomicBool,
}

/// An API key that was seen.
#[derive(Debug)]
pub struct KnownKey {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// When its use was last written down, in epoch seconds.
    last_used: AtomicI64,
}

impl KnownKey {
    /// Whether its use at `at` is to be written down: the first that is asked about it is told yes.
    pub(crate) fn is_news(&self, at: Timestamp) -> bool {
        self.last_used.fetch_max(at.0, Ordering::SeqCst) < at.0
    }
}

impl Access {
    /// An empty cache. On PostgreSQL it is not used until [`listen`] has a line.
    pub fn new(db: &Db) -> Self {
        Self {
            cache: Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(300)).build(),
            keys: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(3600)).build(),
            good_keys: Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(300)).build(),
            drops: AtomicU64::new(0),
            trusted: AtomicBool::new(db.postgres_pool().is_none()),
        }
    }

    /// The account's subscriptions.
    ///
    /// # Errors
    /// The database failed.
    pub async fn subscriptions(&self, db: &Db, account: &AccountId) -> Result<Arc<Vec<Subscription>>, StoreError> {
        self.cached(&self.cache, account, subscriptions::of_account(db, account)).await
    }

    /// The API key with this hash, if it opens anything.
    ///
    /// # Errors
    /// The database failed.
    pub async fn api_key(&self, db: &Db, hash: &str) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let known = match self.keys.get(hash).await {
            Some(known) => known,
            None => {
                let Some((id, account, last_used)) = workspace::api_key_by_hash(db, hash).await? else {
                    return Ok(None);
                };
                let last_used = AtomicI64::new(last_used.map_or(i64::MIN, |at| at.0));
                let known = Arc::new(KnownKey { id, account, last_used });
                self.keys.insert(hash.to_owned(), Arc::clone(&known)).await;
                known
            }
        };
        let good = async {
            let keys = workspace::api_keys(db, &known.account).await?;
            Ok(keys.into_iter().map(|key| key.id).collect())
        };
        let good = self.cached(&self.good_keys, &known.account, good).await?;
        Ok(good.contains(&known.id).then_some(known))
    }

    /// What is cached of an account, or what `read` reads.
    async fn cached<T: Send + Sync + 'static>(
        &self,
        cache: &Cache<AccountId, Arc<T>>,
        account: &AccountId,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Arc<T>, StoreError> {
        let trusted = self.trusted.load(Ordering::SeqCst);
        if trusted && let Some(hit) = cache.get(account).await {
            return Ok(hit);
        }
        let drops = self.drops.load(Ordering::SeqCst);
        let read = Arc::new(read.await?);
        if trusted {
            cache.insert(account.clone(), Arc::clone(&read)).await;
            // A write that ended during the read has dropped nothing: the entry came after it.
            if self.drops.load(Ordering::SeqCst) != drops || !self.trusted.load(Ordering::SeqCst) {
                cache.invalidate(account).await;
            }
        }
        Ok(read)
    }

    /// Forgets an account, after a write was committed.
    pub async fn forget(&self, account: &AccountId) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate(account).await;
        self.good_keys.invalidate(account).await;
    }

    fn trust(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::SeqCst);
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_all();
        self.good_keys.invalidate_all();
    }
}

/// Hears of the writes of other nodes until `stop`. Returns at once on SQLite, which has one node.
pub async fn listen(tollgate: Tollgate, stop: CancellationToken) {
    let Some(pool) = tollgate.db().postgres_pool() else { return };
    let mut stopping = std::pin::pin!(stop.cancelled());
    loop {
        let heard = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(CHANNEL).await?;
            tollgate.access().trust(true);
            // `None` means that the line was lost, and with it perhaps a notification.
            while let Some(notification) = listener.try_recv().await? {
                tollgate.access().forget(&AccountId::new(notification.payload())).await;
            }
            Ok::<(), sqlx::Error>(())
        };
        tokio::select! {
            () = &mut stopping => return,
            ended = heard => {
                tollgate.access().trust(false);
                if let Err(error) = ended {
                    tracing::warn!(%error, "no line for access notifications; reading from the database");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Proof that an account may do what was asked for. Only [`require`] makes one, so a
/// function that takes it cannot be called by somebody too low.
#[derive(Clone, Debug)]
pub struct Permit {
    account: AccountId,
    entitlement: Entitlement,
}

impl Permit {
    /// Whose it is.
    pub const fn account_id(&self) -> &AccountId {
        &self.account
    }

    /// What they may do.
    pub const fn entitlement(&self) -> &Entitlement {
        &self.entitlement
    }
}

/// Why there is no permit.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The plan is too low.
    #[error("tier {needed} is needed")]
    TooLow {
        /// The lowest that would do.
        needed: Tier,
    },
    /// No plan opens it.
    #[error("this is for operators")]
    NotForSale,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks whether somebody signed in may do what `policy` guards.
///
/// # Errors
/// They may not, or it cannot be told.
pub async fn require(tollgate: &Tollgate, who: &SignedIn, policy: Policy) -> Result<Permit, AccessError> {
    let entitlement = tollgate.entitlement(&who.account_id).await?;
    match policy.admits(&entitlement, tollgate.catalog()) {
        Admission::Admitted => Ok(Permit { account: who.account_id.clone(), entitlement }),
        Admission::TooLow { needed } => Err(AccessError::TooLow { needed }),
        Admission::NotForSale => Err(AccessError::NotForSale),
    }
}

/// Proof that somebody is trusted with everybody's billing. Only [`require_operator`] makes one.
#[derive(Clone, Debug)]
pub struct OperatorPermit(());

/// Asks whether somebody signed in is an operator.
///
/// # Errors
/// They are not.
pub fn require_operator(who: &SignedIn) -> Result<OperatorPermit, AccessError> {
    if who.is_operator { Ok(OperatorPermit(())) } else { Err(AccessError::NotForSale) }
}
