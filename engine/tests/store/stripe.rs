//! The stored facts about Stripe: its account, and the requests that it failed to answer.

use billing::CustomerId;
use engine::store::customers;
use engine::store::stripe_account::{self, StripeAccount};
use engine::store::unanswered::{self, Unanswered};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::NOW;

on_both_databases! {
    async fn the_account_is_that_of_the_first_customer(database) {
        let test = StripeAccount { id: "acct_1".to_owned(), is_live: false };
        let live = StripeAccount { is_live: true, ..test.clone() };
        let stored = async || stripe_account::get(&database.db).await.unwrap();
        assert_eq!(stored().await, None);
        for account in [&test, &live] {
            set(&database, account).await;
            assert_eq!(stored().await.as_ref(), Some(account), "nothing belongs to an account yet");
        }
        let ada = database.account("ada@example.com").await;
        let mut tx = database.db.begin().await.unwrap();
        assert!(customers::link(&mut tx, &CustomerId::new("cus_1"), &ada, false, NOW).await.unwrap());
        tx.commit().await.unwrap();
        set(&database, &test).await;
        assert_eq!(stored().await, Some(live));
    }

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

async fn set(database: &TestDatabase, account: &StripeAccount) {
    let mut tx = database.db.begin().await.unwrap();
    stripe_account::set(&mut tx, account, NOW).await.unwrap();
    tx.commit().await.unwrap();
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
