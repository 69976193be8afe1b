//! The Stripe account and mode that the stored objects belong to.

use billing::CustomerId;
use engine::store::customers;
use engine::store::stripe_account::{self, StripeAccount};

use crate::databases::TestDatabase;
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
}

async fn set(database: &TestDatabase, account: &StripeAccount) {
    let mut tx = database.db.begin().await.unwrap();
    stripe_account::set(&mut tx, account, NOW).await.unwrap();
    tx.commit().await.unwrap();
}
