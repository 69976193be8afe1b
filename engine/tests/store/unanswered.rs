//! Requests that Stripe did not answer.

use engine::store::unanswered::{self, Unanswered};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::NOW;

on_both_databases! {
    async fn requests_that_renew_a_key_together_get_the_same(database) {
        failed(&database).await;
        let later = NOW.plus_seconds(60);
        concurrently(4, |_| {
            let db = database.db.clone();
            async move {
                let mut tx = db.begin().await.unwrap();
                unanswered::renew(&mut tx, "key", 1, later).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
        .await;
        assert_eq!(of_key(&database).await, Some(Unanswered { number: 1, since: later.0 }));
        answered(&database).await;
        assert_eq!(of_key(&database).await.map(|found| found.number), Some(1), "Stripe still holds the first failure");
    }

    async fn a_request_that_was_answered_is_forgotten(database) {
        failed(&database).await;
        failed(&database).await;
        assert_eq!(of_key(&database).await, Some(Unanswered { number: 0, since: NOW.0 }));
        answered(&database).await;
        assert_eq!(of_key(&database).await, None);
        failed(&database).await;
        let mut tx = database.db.begin().await.unwrap();
        unanswered::forget(&mut tx, NOW.plus_seconds(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(of_key(&database).await, None);
    }
}

async fn failed(database: &TestDatabase) {
    let mut tx = database.db.begin().await.unwrap();
    unanswered::insert(&mut tx, "key", NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn answered(database: &TestDatabase) {
    let mut tx = database.db.begin().await.unwrap();
    unanswered::record_success(&mut tx, "key").await.unwrap();
    tx.commit().await.unwrap();
}

async fn of_key(database: &TestDatabase) -> Option<Unanswered> {
    unanswered::by_key(&database.db, "key").await.unwrap()
}
