//! API keys are found by their hash until they are revoked, and only their own account can revoke them.

use billing::{AccountId, Timestamp};
use server::store::api_keys::{self, NewApiKey};

use crate::databases::TestDatabase;
use crate::people::NOW;

async fn insert(database: &TestDatabase, account: &AccountId, id: &str, at: Timestamp) {
    let hash = hash(id);
    let key = NewApiKey { id, name: "build server", hash: &hash, hint: "tg_live_ab" };
    let mut tx = database.db.begin().await.unwrap();
    api_keys::insert(&mut tx, account, &key, at).await.unwrap();
    tx.commit().await.unwrap();
}

fn hash(id: &str) -> String {
    format!("hash of {id}")
}

async fn revoke(database: &TestDatabase, account: &AccountId, id: &str, at: Timestamp) -> Option<String> {
    let mut tx = database.db.begin().await.unwrap();
    let revoked = api_keys::revoke(&mut tx, account, id, at).await.unwrap();
    tx.commit().await.unwrap();
    revoked
}

async fn touch(database: &TestDatabase, id: &str, at: Timestamp) {
    let mut tx = database.db.begin().await.unwrap();
    api_keys::touch(&mut tx, id, at).await.unwrap();
    tx.commit().await.unwrap();
}

/// The account of the key with this id, found by its hash.
async fn account_of(database: &TestDatabase, id: &str) -> Option<String> {
    api_keys::by_hash(&database.db, &hash(id)).await.unwrap().map(|key| key.account_id)
}

on_both_databases! {
    async fn a_key_is_found_by_its_hash_and_listed_without_it(database) {
        let ada = database.person("ada@example.com").await.account;
        insert(&database, &ada, "key_1", NOW).await;
        let known = api_keys::by_hash(&database.db, &hash("key_1")).await.unwrap().expect("it exists");
        assert_eq!((known.id.as_str(), known.account_id.as_str(), known.last_used_at), ("key_1", ada.as_str(), None));
        assert!(api_keys::by_hash(&database.db, "another hash").await.unwrap().is_none());
        let listed = api_keys::of_account(&database.db, &ada).await.unwrap();
        let [key] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((key.id.as_str(), key.name.as_str(), key.hint.as_str()), ("key_1", "build server", "tg_live_ab"));
        assert_eq!((key.created_at, key.last_used_at, key.revoked_at), (NOW.0, None, None));
        assert!(!format!("{key:?}").contains("hash of"));
    }

    async fn two_keys_never_share_a_hash(database) {
        let ada = database.person("ada@example.com").await.account;
        insert(&database, &ada, "key_1", NOW).await;
        let mut tx = database.db.begin().await.unwrap();
        let same = NewApiKey { id: "key_2", name: "", hash: &hash("key_1"), hint: "" };
        assert!(api_keys::insert(&mut tx, &ada, &same, NOW).await.is_err());
    }

    async fn a_revoked_key_is_listed_and_no_longer_found(database) {
        let ada = database.person("ada@example.com").await.account;
        insert(&database, &ada, "key_1", NOW).await;
        insert(&database, &ada, "key_2", NOW).await;
        assert_eq!(revoke(&database, &ada, "key_1", NOW.plus_days(1)).await, Some(hash("key_1")));
        assert_eq!(revoke(&database, &ada, "key_1", NOW.plus_days(2)).await, None, "once");
        assert_eq!(
            (account_of(&database, "key_1").await, account_of(&database, "key_2").await),
            (None, Some(ada.to_string()))
        );
        let listed = api_keys::of_account(&database.db, &ada).await.unwrap();
        assert_eq!(listed.iter().map(|key| key.revoked_at).collect::<Vec<_>>(), [None, Some(NOW.plus_days(1).0)]);
    }

    async fn an_account_cannot_revoke_or_list_the_keys_of_another(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        insert(&database, &ada, "key_1", NOW).await;
        assert_eq!(revoke(&database, &eve, "key_1", NOW).await, None);
        assert_eq!(account_of(&database, "key_1").await, Some(ada.to_string()));
        assert!(api_keys::of_account(&database.db, &eve).await.unwrap().is_empty());
    }

    async fn keys_are_listed_newest_first(database) {
        let ada = database.person("ada@example.com").await.account;
        for (id, day) in [("key_b", 1), ("key_a", 1), ("key_c", 0)] {
            insert(&database, &ada, id, NOW.plus_days(day)).await;
        }
        let listed = api_keys::of_account(&database.db, &ada).await.unwrap();
        assert_eq!(listed.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["key_b", "key_a", "key_c"]);
    }

    async fn the_last_use_of_a_key_only_moves_forward(database) {
        let ada = database.person("ada@example.com").await.account;
        insert(&database, &ada, "key_1", NOW).await;
        for (at, last) in [(60, 60), (30, 60), (90, 90)] {
            touch(&database, "key_1", NOW.plus_seconds(at)).await;
            let known = api_keys::by_hash(&database.db, &hash("key_1")).await.unwrap().expect("it exists");
            assert_eq!(known.last_used_at, Some(NOW.plus_seconds(last).0));
        }
    }

    async fn the_keys_of_an_account_are_deleted_together(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        insert(&database, &ada, "key_1", NOW).await;
        insert(&database, &ada, "key_2", NOW).await;
        insert(&database, &eve, "key_3", NOW).await;
        let mut tx = database.db.begin().await.unwrap();
        let mut deleted = api_keys::delete_all(&mut tx, &ada).await.unwrap();
        tx.commit().await.unwrap();
        deleted.sort();
        assert_eq!(deleted, [hash("key_1"), hash("key_2")]);
        assert!(api_keys::of_account(&database.db, &ada).await.unwrap().is_empty());
        assert_eq!(account_of(&database, "key_3").await, Some(eve.to_string()));
    }
}
