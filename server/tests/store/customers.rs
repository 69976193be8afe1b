//! An account has one Stripe customer at a time, and a customer one account for ever.

use billing::ledger::Customer;
use billing::{AccountId, CustomerId};
use server::store::{Stored, customers};

use crate::engines::{NOW, Store, at_once};

/// Tries to link; whether the two are partners now.
async fn link_as(store: &Store, customer: &str, account: &AccountId, is_deleted: bool) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let linked = customers::link(&mut tx, &CustomerId::new(customer), account, is_deleted, NOW).await.unwrap();
    tx.commit().await.unwrap();
    linked
}

/// The same for a customer that is there.
async fn link(store: &Store, customer: &str, account: &AccountId) -> bool {
    link_as(store, customer, account, false).await
}

fn customer(id: &str) -> Customer {
    Customer { id: CustomerId::new(id), email: None, name: None, is_deleted: false }
}

/// Writes a customer as one who has seen `version`; whether it was taken.
async fn write(store: &Store, customer: &Customer, version: i64) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let written = customers::write(&mut tx, customer, version, NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn stored(store: &Store, id: &str) -> Stored<Customer> {
    customers::by_id(&store.db, &CustomerId::new(id)).await.unwrap().expect("it was linked")
}

async fn of_account(store: &Store, account: &AccountId) -> Option<String> {
    customers::of_account(&store.db, account).await.unwrap().map(|id| id.to_string())
}

async fn account_of(store: &Store, customer: &str) -> Option<AccountId> {
    let mut tx = store.db.begin().await.unwrap();
    customers::account_of(&mut tx, &CustomerId::new(customer)).await.unwrap()
}

on_both_engines! {
    async fn a_linked_customer_is_found_from_both_sides(store) {
        let account = store.account("ada@example.com").await;
        assert_eq!((of_account(&store, &account).await, account_of(&store, "cus_ada").await), (None, None));
        assert!(customers::by_id(&store.db, &CustomerId::new("cus_ada")).await.unwrap().is_none());
        assert!(link(&store, "cus_ada", &account).await);
        assert_eq!(of_account(&store, &account).await.as_deref(), Some("cus_ada"));
        assert_eq!(account_of(&store, "cus_ada").await, Some(account.clone()));
        let nothing_yet = Stored { object: customer("cus_ada"), account, version: 0 };
        assert_eq!(stored(&store, "cus_ada").await, nothing_yet);
    }

    /// Two events about one new customer are applied side by side: both may link it.
    async fn linking_the_same_two_again_is_no_conflict(store) {
        let account = store.account("ada@example.com").await;
        assert!(link(&store, "cus_ada", &account).await);
        assert!(link(&store, "cus_ada", &account).await);
        assert_eq!(customers::deleted(&store.db, &account).await.unwrap(), 0);
    }

    async fn a_second_customer_for_an_account_is_refused(store) {
        let account = store.account("ada@example.com").await;
        assert!(link(&store, "cus_first", &account).await);
        assert!(!link(&store, "cus_second", &account).await);
        assert_eq!(of_account(&store, &account).await.as_deref(), Some("cus_first"));
        assert_eq!(account_of(&store, "cus_second").await, None);
    }

    async fn a_customer_of_one_account_is_not_given_to_another(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(link(&store, "cus_ada", &ada).await);
        assert!(!link(&store, "cus_ada", &eve).await);
        assert_eq!(account_of(&store, "cus_ada").await, Some(ada));
        assert_eq!(of_account(&store, &eve).await, None);
    }

    async fn of_many_customers_linked_at_once_an_account_gets_one(store) {
        let account = store.account("ada@example.com").await;
        let linked = at_once(12, |n| {
            let (store, account) = (store.clone(), account.clone());
            async move { link(&store, &format!("cus_{n}"), &account).await }
        })
        .await;
        assert_eq!(linked.iter().filter(|linked| **linked).count(), 1);
        assert!(of_account(&store, &account).await.is_some());
    }

    async fn one_customer_linked_many_times_at_once_is_one_link(store) {
        let account = store.account("ada@example.com").await;
        let linked = at_once(12, |_| {
            let (store, account) = (store.clone(), account.clone());
            async move { link(&store, "cus_ada", &account).await }
        })
        .await;
        assert!(linked.iter().all(|linked| *linked), "everybody may go on with the account");
    }

    async fn of_many_accounts_that_want_one_customer_one_gets_it(store) {
        let mut accounts = Vec::new();
        for n in 0..8 {
            accounts.push(store.account(&format!("user{n}@example.com")).await);
        }
        let linked = at_once(8, |n| {
            let (store, account) = (store.clone(), accounts[n].clone());
            async move { link(&store, "cus_ada", &account).await }
        })
        .await;
        assert_eq!(linked.iter().filter(|linked| **linked).count(), 1);
    }

    async fn a_customer_is_written_whole(store) {
        let account = store.account("ada@example.com").await;
        link(&store, "cus_ada", &account).await;
        let named = Customer { email: Some("ada@example.com".to_owned()), name: Some("Ada".to_owned()), ..customer("cus_ada") };
        assert!(write(&store, &named, 0).await);
        assert_eq!(stored(&store, "cus_ada").await, Stored { object: named, account: account.clone(), version: 1 });
        // What was there and is not any more must not stay behind.
        assert!(write(&store, &customer("cus_ada"), 1).await);
        assert_eq!(stored(&store, "cus_ada").await, Stored { object: customer("cus_ada"), account, version: 2 });
    }

    async fn the_second_of_two_who_saw_the_same_version_is_refused(store) {
        let account = store.account("ada@example.com").await;
        link(&store, "cus_ada", &account).await;
        let newer = Customer { name: Some("Ada, newer".to_owned()), ..customer("cus_ada") };
        let older = Customer { name: Some("Ada, older".to_owned()), ..customer("cus_ada") };
        assert!(write(&store, &newer, 0).await);
        assert!(!write(&store, &older, 0).await, "it may hold the older answer");
        assert_eq!(stored(&store, "cus_ada").await.object, newer);
    }

    async fn of_many_who_write_one_version_at_once_one_wins(store) {
        let account = store.account("ada@example.com").await;
        link(&store, "cus_ada", &account).await;
        let written = at_once(12, |_| {
            let store = store.clone();
            async move { write(&store, &customer("cus_ada"), 0).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&store, "cus_ada").await.version, 1);
    }

    async fn a_customer_that_was_never_linked_is_not_written(store) {
        assert!(!write(&store, &customer("cus_ada"), 0).await);
        assert!(customers::by_id(&store.db, &CustomerId::new("cus_ada")).await.unwrap().is_none());
    }

    async fn a_deleted_customer_leaves_room_for_the_next(store) {
        let account = store.account("ada@example.com").await;
        link(&store, "cus_first", &account).await;
        let deleted = Customer { is_deleted: true, ..customer("cus_first") };
        assert!(write(&store, &deleted, 0).await);
        assert_eq!(of_account(&store, &account).await, None);
        assert_eq!(customers::deleted(&store.db, &account).await.unwrap(), 1);

        assert!(link(&store, "cus_second", &account).await);
        assert_eq!(of_account(&store, &account).await.as_deref(), Some("cus_second"));
        assert_eq!(customers::deleted(&store.db, &account).await.unwrap(), 1, "the new one is not");
        assert!(!link(&store, "cus_third", &account).await, "one at a time");
    }

    /// What it paid is still heard of: a refund comes after the deletion.
    async fn a_deleted_customer_stays_whose_it_was(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        link(&store, "cus_ada", &ada).await;
        write(&store, &Customer { is_deleted: true, ..customer("cus_ada") }, 0).await;
        assert_eq!(account_of(&store, "cus_ada").await, Some(ada.clone()));
        assert!(link(&store, "cus_ada", &ada).await);
        assert!(!link(&store, "cus_ada", &eve).await);
        assert!(stored(&store, "cus_ada").await.object.is_deleted);
    }

    /// An event about somebody who was deleted before we heard of them comes late.
    async fn a_customer_that_is_deleted_already_is_linked_beside_the_one_that_is_there(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(link(&store, "cus_live", &ada).await);
        assert!(link_as(&store, "cus_dead", &ada, true).await);
        assert!(link_as(&store, "cus_older", &ada, true).await, "there may be many");
        assert!(link_as(&store, "cus_dead", &ada, true).await);
        assert!(!link_as(&store, "cus_dead", &eve, true).await, "but each of one account");
        assert_eq!(of_account(&store, &ada).await.as_deref(), Some("cus_live"));
        assert_eq!(account_of(&store, "cus_dead").await, Some(ada.clone()));
        assert_eq!(customers::deleted(&store.db, &ada).await.unwrap(), 2);
        assert!(stored(&store, "cus_dead").await.object.is_deleted);
    }

    /// Whoever asked Stripe before the deletion, and writes after it, must not bring it back.
    async fn a_deleted_customer_does_not_come_back_by_an_older_answer(store) {
        let account = store.account("ada@example.com").await;
        link(&store, "cus_ada", &account).await;
        assert!(write(&store, &Customer { is_deleted: true, ..customer("cus_ada") }, 0).await);
        assert!(!write(&store, &customer("cus_ada"), 0).await);
        assert_eq!(of_account(&store, &account).await, None);
    }

    /// Otherwise it would say that nobody owns the customer, after the link has looked for all who say so.
    async fn whoever_asks_for_the_account_waits_for_a_link_that_is_under_way(store) {
        let account = store.account("ada@example.com").await;
        let mut linking = store.db.begin().await.unwrap();
        assert!(customers::link(&mut linking, &CustomerId::new("cus_ada"), &account, false, NOW).await.unwrap());
        let asking = tokio::spawn({
            let store = store.clone();
            async move {
                let mut tx = store.db.begin().await.unwrap();
                customers::account_of(&mut tx, &CustomerId::new("cus_ada")).await.unwrap()
            }
        });
        store.until_waiting(&asking).await;
        linking.commit().await.unwrap();
        assert_eq!(asking.await.unwrap(), Some(account));
    }

    /// The other way round: a link waits for those who have found nobody and have yet to say so.
    async fn a_link_waits_for_whoever_has_found_no_account(store) {
        let account = store.account("ada@example.com").await;
        let mut asking = store.db.begin().await.unwrap();
        assert_eq!(customers::account_of(&mut asking, &CustomerId::new("cus_ada")).await.unwrap(), None);
        let linking = tokio::spawn({
            let (store, account) = (store.clone(), account.clone());
            async move { link(&store, "cus_ada", &account).await }
        });
        store.until_waiting(&linking).await;
        assert!(!linking.is_finished(), "linked while somebody holds that it is nobody's");
        asking.commit().await.unwrap();
        assert!(linking.await.unwrap());
    }
}
