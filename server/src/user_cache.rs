//! A cache of sessions, users and API keys, which every authenticated request needs. A write invalidates
//! it on every node (docs/decisions/0009).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::{Timestamp, UserId};
use engine::StoreError;
use engine::cache::{Entries, Invalidation};
use engine::store::{Db, Tx};

use crate::store::api_keys::{self, KnownKey};
use crate::store::sessions::{self, StoredSession};
use crate::store::users::{self, User};

/// Cached sessions, users and API keys.
#[derive(Debug)]
pub struct UserCache {
    invalidation: Invalidation,
    sessions: Entries<StoredSession>,
    users: Entries<User>,
    keys: Entries<CachedKey>,
}

/// An API key, and the last minute in which it was used.
#[derive(Debug)]
pub struct CachedKey {
    /// The key as stored.
    pub key: KnownKey,
    last_used_at: AtomicI64,
}

impl CachedKey {
    /// Returns whether this is the key's first use in this minute; `true` once a minute.
    pub fn is_first_use_in(&self, minute: Timestamp) -> bool {
        self.last_used_at.fetch_max(minute.0, Ordering::SeqCst) < minute.0
    }
}

impl From<KnownKey> for CachedKey {
    fn from(key: KnownKey) -> Self {
        Self { last_used_at: AtomicI64::new(key.last_used_at.unwrap_or(i64::MIN)), key }
    }
}

/// A cached row that a write changes.
#[derive(Clone, Debug)]
pub enum Changed {
    /// A session, by the hash of its id.
    Session(String),
    /// A user.
    User(UserId),
    /// An API key, by its hash.
    Key(String),
}

impl Changed {
    /// Its name in caches.
    pub fn subject(&self) -> String {
        match self {
            Self::Session(id_hash) => format!("session:{id_hash}"),
            Self::User(id) => format!("user:{id}"),
            Self::Key(hash) => format!("key:{hash}"),
        }
    }
}

impl UserCache {
    /// Creates an empty cache.
    pub fn new(invalidation: &Invalidation) -> Self {
        Self {
            sessions: Entries::new(invalidation),
            users: Entries::new(invalidation),
            keys: Entries::new(invalidation),
            invalidation: invalidation.clone(),
        }
    }

    /// Returns the session whose id has this hash, if it has not expired.
    pub async fn session(
        &self,
        db: &Db,
        id_hash: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<StoredSession>>, StoreError> {
        let subject = Changed::Session(id_hash.to_owned()).subject();
        let found = self.sessions.get(&subject, sessions::load(db, id_hash, now)).await?;
        Ok(found.filter(|session| session.expires_at > now.0))
    }

    /// Finds the user with this id, from the cache or the database.
    pub async fn user(&self, db: &Db, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.users.get(&Changed::User(id.clone()).subject(), users::by_id(db, id)).await
    }

    /// Finds the API key with this hash, unless it was revoked. `admit` is called before the database is
    /// queried.
    pub async fn api_key<E: From<StoreError>>(
        &self,
        db: &Db,
        hash: &str,
        admit: impl FnOnce() -> Result<(), E> + Send,
    ) -> Result<Option<Arc<CachedKey>>, E> {
        let read = async {
            admit()?;
            Ok::<_, E>(api_keys::by_hash(db, hash).await?.map(CachedKey::from))
        };
        self.keys.get(&Changed::Key(hash.to_owned()).subject(), read).await
    }

    /// Commits a transaction, and invalidates what it changed on every node.
    pub async fn commit(&self, tx: Tx, changed: &[Changed]) -> Result<(), StoreError> {
        self.invalidation.commit(tx, changed.iter().map(Changed::subject).collect()).await
    }
}
