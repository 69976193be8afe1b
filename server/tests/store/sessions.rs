//! Sessions are found by the hash of their id until they expire.

use billing::Timestamp;
use server::store::sessions::{self, StoredSession};

use crate::databases::TestDatabase;
use crate::people::NOW;

fn session(data: &str, expires_at: Timestamp) -> StoredSession {
    StoredSession { data: data.to_owned(), expires_at: expires_at.0 }
}

async fn insert(database: &TestDatabase, id_hash: &str, session: &StoredSession) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let is_new = sessions::insert(&mut tx, id_hash, session).await.unwrap();
    tx.commit().await.unwrap();
    is_new
}

async fn save(database: &TestDatabase, id_hash: &str, session: &StoredSession) {
    let mut tx = database.db.begin().await.unwrap();
    sessions::save(&mut tx, id_hash, session).await.unwrap();
    tx.commit().await.unwrap();
}

async fn data(database: &TestDatabase, id_hash: &str, now: Timestamp) -> Option<String> {
    sessions::load(&database.db, id_hash, now).await.unwrap().map(|session| session.data)
}

on_both_databases! {
    async fn a_session_is_read_back_until_it_expires(database) {
        let end = NOW.plus_days(7);
        assert!(insert(&database, "hash", &session("{}", end)).await);
        let read = sessions::load(&database.db, "hash", NOW).await.unwrap().expect("it exists");
        assert_eq!((read.data.as_str(), read.expires_at), ("{}", end.0));
        assert!(data(&database, "hash", end.plus_seconds(-1)).await.is_some());
        assert!(data(&database, "hash", end).await.is_none());
        assert!(data(&database, "other", NOW).await.is_none());
    }

    async fn a_session_with_an_id_that_exists_is_not_created(database) {
        assert!(insert(&database, "hash", &session("ada", NOW.plus_days(7))).await);
        assert!(!insert(&database, "hash", &session("eve", NOW.plus_days(7))).await);
        assert_eq!(data(&database, "hash", NOW).await.as_deref(), Some("ada"));
    }

    async fn saving_creates_or_replaces_a_session(database) {
        save(&database, "hash", &session("first", NOW.plus_days(1))).await;
        save(&database, "hash", &session("second", NOW.plus_days(2))).await;
        assert_eq!(data(&database, "hash", NOW.plus_days(1)).await.as_deref(), Some("second"));
    }

    async fn sessions_are_deleted_one_by_one_or_when_they_have_expired(database) {
        for (id_hash, days) in [("a", 1), ("b", 2), ("c", 3)] {
            save(&database, id_hash, &session(id_hash, NOW.plus_days(days))).await;
        }
        let mut tx = database.db.begin().await.unwrap();
        sessions::delete(&mut tx, "c").await.unwrap();
        sessions::delete(&mut tx, "none").await.unwrap();
        sessions::delete_expired(&mut tx, NOW.plus_days(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(database.texts("SELECT id_hash FROM session").await, [Some("b".to_owned())]);
    }
}
