//! An account has one live Stripe customer, and a customer belongs to one account forever.

use billing::ledger::Customer;
use billing::{AccountId, CustomerId};
use engine::store::{Stored, customers};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::NOW;

/// Links a customer, and returns whether the two are linked now.
async fn link_as(database: &TestDatabase, customer: &str, account: &AccountId, is_deleted: bool) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let linked = customers::link(&mut tx, &CustomerId::new(customer), account, is_deleted, NOW).await.unwrap();
    tx.commit().await.unwrap();
    linked
}

/// Does the same for a live customer.
async fn link(database: &TestDatabase, customer: &str, account: &AccountId) -> bool {
    link_as(database, customer, account, false).await
}

fn customer(id: &str) -> Customer {
    Customer { id: CustomerId::new(id), email: None, name: None, is_deleted: false }
}

/// Writes a customer whose `version` was read before, and returns whether that was the latest.
async fn write(database: &TestDatabase, customer: &Customer, version: i64) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let written = customers::write(&mut tx, customer, version, NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn stored(database: &TestDatabase, id: &str) -> Stored<Customer> {
    customers::by_id(&database.db, &CustomerId::new(id)).await.unwrap().expect("it was linked")
}

async fn of_account(database: &TestDatabase, account: &AccountId) -> Option<String> {
    customers::of_account(&database.db, account).await.unwrap().map(|id| id.to_string())
}

async fn account_of(database: &TestDatabase, customer: &str) -> Option<AccountId> {
    let mut tx = database.db.begin().await.unwrap();
    customers::account_of(&mut tx, &CustomerId::new(customer)).await.unwrap()
}

on_both_databases! {
    async fn a_linked_customer_is_found_by_its_id_and_by_its_account(database) {
        let account = database.account("ada@example.com").await;
        assert_eq!((of_account(&database, &account).await, account_of(&database, "cus_ada").await), (None, None));
        assert!(customers::by_id(&database.db, &CustomerId::new("cus_ada")).await.unwrap().is_none());
        assert!(link(&database, "cus_ada", &account).await);
        assert_eq!(of_account(&database, &account).await.as_deref(), Some("cus_ada"));
        assert_eq!(account_of(&database, "cus_ada").await, Some(account.clone()));
        let nothing_yet = Stored { object: customer("cus_ada"), account, version: 0 };
        assert_eq!(stored(&database, "cus_ada").await, nothing_yet);
    }

    /// Two events about one new customer are applied concurrently, and both link it.
    async fn linking_the_same_two_again_succeeds(database) {
        let account = database.account("ada@example.com").await;
        assert!(link(&database, "cus_ada", &account).await);
        assert!(link(&database, "cus_ada", &account).await);
        assert_eq!(customers::count_deleted(&database.db, &account).await.unwrap(), 0);
    }

    async fn a_second_customer_for_an_account_is_rejected(database) {
        let account = database.account("ada@example.com").await;
        assert!(link(&database, "cus_first", &account).await);
        assert!(!link(&database, "cus_second", &account).await);
        assert_eq!(of_account(&database, &account).await.as_deref(), Some("cus_first"));
        assert_eq!(account_of(&database, "cus_second").await, None);
    }

    async fn a_customer_of_one_account_is_not_given_to_another(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        assert!(link(&database, "cus_ada", &ada).await);
        assert!(!link(&database, "cus_ada", &eve).await);
        assert_eq!(account_of(&database, "cus_ada").await, Some(ada));
        assert_eq!(of_account(&database, &eve).await, None);
    }

    async fn an_account_gets_only_one_of_many_customers_linked_concurrently(database) {
        let account = database.account("ada@example.com").await;
        let linked = concurrently(12, |n| {
            let (database, account) = (database.clone(), account.clone());
            async move { link(&database, &format!("cus_{n}"), &account).await }
        })
        .await;
        assert_eq!(linked.iter().filter(|linked| **linked).count(), 1);
        assert!(of_account(&database, &account).await.is_some());
    }

    async fn concurrent_links_of_the_same_two_all_succeed(database) {
        let account = database.account("ada@example.com").await;
        let linked = concurrently(12, |_| {
            let (database, account) = (database.clone(), account.clone());
            async move { link(&database, "cus_ada", &account).await }
        })
        .await;
        assert!(linked.iter().all(|linked| *linked), "all can proceed with the account");
    }

    async fn only_one_of_many_accounts_linked_to_a_customer_gets_it(database) {
        let mut accounts = Vec::new();
        for n in 0..8 {
            accounts.push(database.account(&format!("user{n}@example.com")).await);
        }
        let linked = concurrently(8, |n| {
            let (database, account) = (database.clone(), accounts[n].clone());
            async move { link(&database, "cus_ada", &account).await }
        })
        .await;
        assert_eq!(linked.iter().filter(|linked| **linked).count(), 1);
    }

    async fn a_customer_is_replaced_as_a_whole(database) {
        let account = database.account("ada@example.com").await;
        link(&database, "cus_ada", &account).await;
        let named =
            Customer { email: Some("ada@example.com".to_owned()), name: Some("Ada".to_owned()), ..customer("cus_ada") };
        assert!(write(&database, &named, 0).await);
        assert_eq!(stored(&database, "cus_ada").await, Stored { object: named, account: account.clone(), version: 1 });
        // A removed value must not remain.
        assert!(write(&database, &customer("cus_ada"), 1).await);
        assert_eq!(stored(&database, "cus_ada").await, Stored { object: customer("cus_ada"), account, version: 2 });
    }

    async fn the_second_of_two_writes_that_read_the_same_version_is_rejected(database) {
        let account = database.account("ada@example.com").await;
        link(&database, "cus_ada", &account).await;
        let newer = Customer { name: Some("Ada, newer".to_owned()), ..customer("cus_ada") };
        let older = Customer { name: Some("Ada, older".to_owned()), ..customer("cus_ada") };
        assert!(write(&database, &newer, 0).await);
        assert!(!write(&database, &older, 0).await, "it may hold the older response");
        assert_eq!(stored(&database, "cus_ada").await.object, newer);
    }

    async fn only_one_of_many_concurrent_writes_of_one_version_succeeds(database) {
        let account = database.account("ada@example.com").await;
        link(&database, "cus_ada", &account).await;
        let written = concurrently(12, |_| {
            let database = database.clone();
            async move { write(&database, &customer("cus_ada"), 0).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&database, "cus_ada").await.version, 1);
    }

    async fn a_customer_that_was_never_linked_is_not_written(database) {
        assert!(!write(&database, &customer("cus_ada"), 0).await);
        assert!(customers::by_id(&database.db, &CustomerId::new("cus_ada")).await.unwrap().is_none());
    }

    async fn a_deleted_customer_can_be_replaced(database) {
        let account = database.account("ada@example.com").await;
        link(&database, "cus_first", &account).await;
        let deleted = Customer { is_deleted: true, ..customer("cus_first") };
        assert!(write(&database, &deleted, 0).await);
        assert_eq!(of_account(&database, &account).await, None);
        assert_eq!(customers::count_deleted(&database.db, &account).await.unwrap(), 1);

        assert!(link(&database, "cus_second", &account).await);
        assert_eq!(of_account(&database, &account).await.as_deref(), Some("cus_second"));
        assert_eq!(customers::count_deleted(&database.db, &account).await.unwrap(), 1, "the new one is not");
        assert!(!link(&database, "cus_third", &account).await, "one at a time");
    }

    /// A refund may come after the deletion.
    async fn a_deleted_customer_still_belongs_to_its_account(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        link(&database, "cus_ada", &ada).await;
        write(&database, &Customer { is_deleted: true, ..customer("cus_ada") }, 0).await;
        assert_eq!(account_of(&database, "cus_ada").await, Some(ada.clone()));
        assert!(link(&database, "cus_ada", &ada).await);
        assert!(!link(&database, "cus_ada", &eve).await);
        assert!(stored(&database, "cus_ada").await.object.is_deleted);
    }

    /// The first event about a customer comes after its deletion.
    async fn a_customer_that_is_already_deleted_is_linked_alongside_the_live_one(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        assert!(link(&database, "cus_live", &ada).await);
        assert!(link_as(&database, "cus_dead", &ada, true).await);
        assert!(link_as(&database, "cus_older", &ada, true).await, "an account may have many deleted ones");
        assert!(link_as(&database, "cus_dead", &ada, true).await);
        assert!(!link_as(&database, "cus_dead", &eve, true).await, "but each belongs to one account");
        assert_eq!(of_account(&database, &ada).await.as_deref(), Some("cus_live"));
        assert_eq!(account_of(&database, "cus_dead").await, Some(ada.clone()));
        assert_eq!(customers::count_deleted(&database.db, &ada).await.unwrap(), 2);
        assert!(stored(&database, "cus_dead").await.object.is_deleted);
    }

    /// The customer was fetched before the deletion, and the response is written after it.
    async fn an_older_response_does_not_restore_a_deleted_customer(database) {
        let account = database.account("ada@example.com").await;
        link(&database, "cus_ada", &account).await;
        assert!(write(&database, &Customer { is_deleted: true, ..customer("cus_ada") }, 0).await);
        assert!(!write(&database, &customer("cus_ada"), 0).await);
        assert_eq!(of_account(&database, &account).await, None);
    }

    /// Otherwise it would record that no account owns the customer, after the link has revived such records.
    async fn reading_the_account_of_a_customer_waits_for_a_link_in_progress(database) {
        let account = database.account("ada@example.com").await;
        let mut linking = database.db.begin().await.unwrap();
        assert!(customers::link(&mut linking, &CustomerId::new("cus_ada"), &account, false, NOW).await.unwrap());
        let asking = tokio::spawn({
            let database = database.clone();
            async move {
                let mut tx = database.db.begin().await.unwrap();
                customers::account_of(&mut tx, &CustomerId::new("cus_ada")).await.unwrap()
            }
        });
        database.until_waiting(&asking).await;
        linking.commit().await.unwrap();
        assert_eq!(asking.await.unwrap(), Some(account));
    }

    /// The other way round: the transaction has yet to record that there is none.
    async fn a_link_waits_for_a_transaction_that_has_found_no_account(database) {
        let account = database.account("ada@example.com").await;
        let mut asking = database.db.begin().await.unwrap();
        assert_eq!(customers::account_of(&mut asking, &CustomerId::new("cus_ada")).await.unwrap(), None);
        let linking = tokio::spawn({
            let (database, account) = (database.clone(), account.clone());
            async move { link(&database, "cus_ada", &account).await }
        });
        database.until_waiting(&linking).await;
        assert!(!linking.is_finished(), "linked while another transaction relies on there being no account");
        asking.commit().await.unwrap();
        assert!(linking.await.unwrap());
    }
}
