//! The cache of accounts' subscriptions and contacts.

use std::sync::Arc;

use billing::{AccountId, Subscription};

use super::entries::Entries;
use super::invalidation::Invalidation;
use crate::store::accounts::{self, Contact};
use crate::store::{Db, StoreError, Tx, subscriptions};

/// Caches the subscriptions and contacts of accounts. Cheap to clone; clones share the entries.
#[derive(Clone, Debug)]
pub struct Cache {
    invalidation: Invalidation,
    subscriptions: Entries<Vec<Subscription>>,
    contacts: Entries<Contact>,
}

impl Cache {
    /// Creates an empty cache.
    pub fn new(db: &Db) -> Self {
        let invalidation = Invalidation::new(db);
        Self { subscriptions: Entries::new(&invalidation), contacts: Entries::new(&invalidation), invalidation }
    }

    /// Returns the invalidation that these entries follow; a host's own [`Entries`] can follow it too.
    pub const fn invalidation(&self) -> &Invalidation {
        &self.invalidation
    }

    /// Returns the account's subscriptions, newest first.
    pub async fn subscriptions(&self, db: &Db, account: &AccountId) -> Result<Arc<Vec<Subscription>>, StoreError> {
        let read = async { Ok::<_, StoreError>(Some(subscriptions::of_account(db, account).await?)) };
        Ok(self.subscriptions.get(account.as_str(), read).await?.unwrap_or_default())
    }

    /// Returns the account's contact; `None` for an account that does not exist.
    pub async fn contact(&self, db: &Db, account: &AccountId) -> Result<Option<Arc<Contact>>, StoreError> {
        self.contacts.get(account.as_str(), accounts::contact(db, account)).await
    }

    /// Commits a transaction that changed these accounts. See [`Invalidation::commit`].
    pub async fn commit(&self, tx: Tx, changed: Vec<AccountId>) -> Result<(), StoreError> {
        self.invalidation.commit(tx, changed.iter().map(ToString::to_string).collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DatabaseUrl;
    use crate::store::MIGRATIONS;

    #[tokio::test]
    async fn an_account_is_read_from_the_database_while_its_write_is_being_committed() {
        let db = Db::connect(&DatabaseUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
        db.migrate(MIGRATIONS).await.unwrap();
        let cache = Cache::new(&db);
        let read = async |account: &str| cache.subscriptions(&db, &AccountId::new(account)).await.unwrap();
        let (ada, eve) = (read("ada").await, read("eve").await);
        let one = cache.invalidation().begin_commit(vec!["ada".to_owned()]);
        let other = cache.invalidation().begin_commit(vec!["ada".to_owned()]);
        assert!(!Arc::ptr_eq(&ada, &read("ada").await));
        assert!(Arc::ptr_eq(&eve, &read("eve").await), "other accounts are still cached");
        drop(one);
        assert!(!Arc::ptr_eq(&ada, &read("ada").await));
        drop(other);
        assert!(Arc::ptr_eq(&ada, &read("ada").await));
    }
}
