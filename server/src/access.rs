//! Who may do what: cached subscriptions, keys, users and sessions, and proof of permission.
//!
//! What is cached is what was read from the database, not what follows from it:
//! an entitlement changes with the clock alone. Every write drops what it changes,
//! on this node at once and on the others by PostgreSQL's notifications;
//! a node that has lost its line to them does not trust its cache. SQLite has one node; what
//! another program such as the command line writes into its file is seen within a second.
//! No answer from before a write is kept after it (`tests/store/access.rs`).

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use billing::email::Email;
use billing::{AccountId, Admission, Entitlement, Policy, Subscription, Tier, Timestamp, UserId};
use moka::future::Cache;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use tower_sessions::session::Record;

use crate::auth::SignedIn;
use crate::store::accounts::{self, Role, User};
use crate::store::db::SqlitePools;
use crate::store::{Db, StoreError, subscriptions, workspace};
use crate::tollgate::Tollgate;

/// The PostgreSQL channel that names accounts whose rights have changed.
pub(crate) const CHANNEL: &str = "tollgate_access";
/// The one that says that somebody's role has changed, or that they are gone.
pub(crate) const PEOPLE: &str = "tollgate_people";
/// The one that names sessions that have changed or ended, by the hash of their id.
pub(crate) const SESSIONS: &str = "tollgate_sessions";

/// How long anything is kept at most. It would do for ever; this bounds what a mistake could do.
const KEPT: Duration = Duration::from_secs(300);
/// How often SQLite is asked whether another program has written.
const LOOK: Duration = Duration::from_secs(1);

/// What the database said as of the last write.
#[derive(Debug)]
pub struct Access {
    of_accounts: Cache<AccountId, Arc<Vec<Subscription>>>,
    /// By the hash of their id, which alone opens an account.
    sessions: Cache<String, Arc<Record>>,
    users: Cache<UserId, Arc<User>>,
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
            of_accounts: of_the_last_write(),
            sessions: of_the_last_write(),
            users: of_the_last_write(),
            keys: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(3600)).build(),
            good_keys: of_the_last_write(),
            drops: AtomicU64::new(0),
            trusted: AtomicBool::new(db.postgres_pool().is_none()),
        }
    }

    /// The account's subscriptions.
    ///
    /// # Errors
    /// The database failed.
    pub async fn subscriptions(&self, db: &Db, account: &AccountId) -> Result<Arc<Vec<Subscription>>, StoreError> {
        let read = async { subscriptions::of_account(db, account).await.map(Some) };
        Ok(self.cached(&self.of_accounts, account, read).await?.unwrap_or_default())
    }

    /// The user with this id.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn user(&self, db: &Db, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.cached(&self.users, id, accounts::user_by_id(db, id)).await
    }

    /// The session whose id has this hash, as `read` reads it.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) async fn session<E>(
        &self,
        hash: &String,
        read: impl Future<Output = Result<Option<Record>, E>>,
    ) -> Result<Option<Arc<Record>>, E> {
        self.cached(&self.sessions, hash, read).await
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
            Ok::<_, StoreError>(Some(keys.into_iter().map(|key| key.id).collect::<HashSet<_>>()))
        };
        let good = self.cached(&self.good_keys, &known.account, good).await?;
        Ok(good.is_some_and(|good| good.contains(&known.id)).then_some(known))
    }

    /// What is cached under a key, or what `read` reads. That there is nothing is not kept.
    async fn cached<K, T, E>(
        &self,
        cache: &Cache<K, Arc<T>>,
        key: &K,
        read: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<Option<Arc<T>>, E>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let trusted = self.trusted.load(Ordering::SeqCst);
        if trusted && let Some(hit) = cache.get(key).await {
            return Ok(Some(hit));
        }
        let drops = self.drops.load(Ordering::SeqCst);
        let Some(read) = read.await?.map(Arc::new) else { return Ok(None) };
        let is_as_read = || self.drops.load(Ordering::SeqCst) == drops && self.trusted.load(Ordering::SeqCst);
        if trusted && is_as_read() {
            cache.insert(key.clone(), Arc::clone(&read)).await;
            // A write that ended during the read has dropped nothing: the entry came after it.
            if !is_as_read() {
                cache.invalidate(key).await;
            }
        }
        Ok(Some(read))
    }

    /// Forgets an account, after a write was committed.
    pub async fn forget(&self, account: &AccountId) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.of_accounts.invalidate(account).await;
        self.good_keys.invalidate(account).await;
    }

    /// Forgets every user, after one of them was changed: that is rare.
    pub(crate) fn forget_people(&self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.users.invalidate_all();
    }

    /// Forgets a session, after it was changed or ended.
    pub(crate) async fn forget_session(&self, hash: &str) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.sessions.invalidate(hash).await;
    }

    fn trust(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::SeqCst);
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.of_accounts.invalidate_all();
        self.good_keys.invalidate_all();
        self.users.invalidate_all();
        self.sessions.invalidate_all();
    }
}

fn of_the_last_write<K, T>() -> Cache<K, Arc<T>>
where
    K: Hash + Eq + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    Cache::builder().max_capacity(100_000).time_to_live(KEPT).build()
}

/// Hears of what others write until `stop`: other nodes on PostgreSQL, other programs on SQLite.
pub async fn listen(tollgate: Tollgate, stop: CancellationToken) {
    let hearing = async {
        match tollgate.db() {
            Db::Postgres(pool) => hear(&tollgate, pool.conn()).await,
            Db::Sqlite(pools) => look(&tollgate, pools).await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = hearing => {}
    }
}

async fn hear(tollgate: &Tollgate, pool: &sqlx::PgPool) {
    let access = tollgate.access();
    loop {
        let heard = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen_all([CHANNEL, PEOPLE, SESSIONS]).await?;
            access.trust(true);
            // `None` means that the line was lost, and with it perhaps a notification.
            while let Some(news) = listener.try_recv().await? {
                match news.channel() {
                    PEOPLE => access.forget_people(),
                    SESSIONS => access.forget_session(news.payload()).await,
                    _ => access.forget(&AccountId::new(news.payload())).await,
                }
            }
            Ok::<(), sqlx::Error>(())
        };
        let ended = heard.await;
        access.trust(false);
        if let Err(error) = ended {
            tracing::warn!(%error, "no line for access notifications; reading from the database");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn look(tollgate: &Tollgate, pools: &SqlitePools) {
    let mut seen = None;
    loop {
        match pools.writes_of_others().await {
            Ok(now) if seen == Some(now) => {}
            // Also at the first look: what was read before it may be older than what others wrote.
            Ok(now) => {
                seen = Some(now);
                tollgate.access().trust(true);
            }
            Err(error) => {
                tracing::warn!(%error, "the database does not say whether others have written; reading from it");
                seen = None;
                tollgate.access().trust(false);
            }
        }
        tokio::time::sleep(LOOK).await;
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
        Admission::UpgradeRequired { needed } => Err(AccessError::TooLow { needed }),
        Admission::Forbidden => Err(AccessError::NotForSale),
    }
}

/// Proof that somebody is trusted with everybody's billing. Only [`require_operator`] makes one.
#[derive(Clone, Debug)]
pub struct OperatorPermit(());

/// Gives somebody who has signed up a role. `false` when nobody has with this address.
///
/// # Errors
/// The database failed.
pub async fn set_role(tollgate: &Tollgate, email: &Email, role: Role) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let is_set = accounts::set_role(&mut tx, &email.login_key(), role).await?;
    tx.notify(PEOPLE, "").await?;
    tx.commit().await?;
    tollgate.access().forget_people();
    Ok(is_set)
}

/// Asks whether somebody signed in is an operator.
///
/// # Errors
/// They are not.
pub fn require_operator(who: &SignedIn) -> Result<OperatorPermit, AccessError> {
    if who.is_operator { Ok(OperatorPermit(())) } else { Err(AccessError::NotForSale) }
}
