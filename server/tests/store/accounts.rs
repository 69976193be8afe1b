//! Who can sign in, for which account, and which Stripe customer pays for it.

use billing::email::Email;
use billing::{AccountId, CustomerId, UserId};
use secrecy::ExposeSecret;
use server::ids;
use server::store::accounts::{self, NewUser};

use crate::engines::{NOW, Store, at_once};

/// Tries to add a user; whether the address was free.
async fn sign_up(store: &Store, email: &str) -> bool {
    let (user, account) = (UserId::new(ids::new_id()), AccountId::new(ids::new_id()));
    let email = Email::parse(email).unwrap();
    let new = NewUser { id: &user, account_id: &account, email: &email, password_hash: "hash", at: NOW };
    let mut tx = store.db.begin().await.unwrap();
    let added = accounts::insert_user(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    added
}

/// Tries to link; whether the two are partners now.
async fn link(store: &Store, customer: &str, account: &AccountId) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let linked = accounts::link_customer(&mut tx, &CustomerId::new(customer), account, NOW).await.unwrap();
    tx.commit().await.unwrap();
    linked
}

on_both_engines! {
    async fn a_new_user_owns_a_personal_account(store) {
        let account = store.account("Ada.Byron+shop@Example.com").await;
        let user = accounts::user_by_login(&store.db, "ada.byron+shop@example.com").await.unwrap().expect("she is there");
        assert_eq!(user.account_id, account);
        assert_eq!(user.email, "Ada.Byron+shop@Example.com", "as it was typed");
        assert_eq!(user.email_canonical, "ada.byron@example.com");
        assert_eq!(user.password_hash.expose_secret(), "$argon2id$…");
        assert!(!format!("{user:?}").contains("argon2id"), "the hash prints");

        let again = accounts::user_by_id(&store.db, &user.id).await.unwrap().expect("she is there");
        assert_eq!((again.id, again.account_id), (user.id, account.clone()));
        assert!(accounts::account_exists(&store.db, &account).await.unwrap());
        let owner = accounts::canonical_email_of(&store.db, &account).await.unwrap();
        assert_eq!(owner.as_deref(), Some("ada.byron@example.com"));
    }

    async fn an_address_is_taken_in_any_case(store) {
        let first = store.account("ada@example.com").await;
        assert!(!sign_up(&store, "ADA@Example.COM").await);
        assert!(!sign_up(&store, " ada@example.com ").await);
        let user = accounts::user_by_login(&store.db, "ada@example.com").await.unwrap().unwrap();
        assert_eq!(user.account_id, first, "nothing of the first has changed");
    }

    /// Trials are counted by the canonical address, logins are not: an alias is a user of its own.
    async fn an_alias_is_another_user(store) {
        store.account("ada@example.com").await;
        assert!(sign_up(&store, "ada+work@example.com").await);
    }

    async fn of_twenty_who_sign_up_with_one_address_at_once_one_does(store) {
        let added = at_once(20, |_| {
            let store = store.clone();
            async move { sign_up(&store, "ada@example.com").await }
        })
        .await;
        assert_eq!(added.iter().filter(|added| **added).count(), 1);
    }

    async fn nobody_is_found_where_nobody_is(store) {
        assert!(accounts::user_by_login(&store.db, "ada@example.com").await.unwrap().is_none());
        assert!(accounts::user_by_id(&store.db, &UserId::new("nobody")).await.unwrap().is_none());
        assert!(!accounts::account_exists(&store.db, &AccountId::new("nobody")).await.unwrap());
        assert!(accounts::customer_of(&store.db, &AccountId::new("nobody")).await.unwrap().is_none());
        assert!(accounts::account_of(&store.db, &CustomerId::new("cus_nobody")).await.unwrap().is_none());
    }

    async fn a_linked_customer_is_found_from_both_sides(store) {
        let account = store.account("ada@example.com").await;
        assert!(link(&store, "cus_ada", &account).await);
        assert_eq!(accounts::customer_of(&store.db, &account).await.unwrap(), Some(CustomerId::new("cus_ada")));
        assert_eq!(accounts::account_of(&store.db, &CustomerId::new("cus_ada")).await.unwrap(), Some(account));
    }

    /// Two events about one new customer are applied side by side: both may link it.
    async fn linking_the_same_two_again_is_no_conflict(store) {
        let account = store.account("ada@example.com").await;
        assert!(link(&store, "cus_ada", &account).await);
        assert!(link(&store, "cus_ada", &account).await);
    }

    async fn a_second_customer_for_an_account_is_refused(store) {
        let account = store.account("ada@example.com").await;
        assert!(link(&store, "cus_first", &account).await);
        assert!(!link(&store, "cus_second", &account).await);
        assert_eq!(accounts::customer_of(&store.db, &account).await.unwrap(), Some(CustomerId::new("cus_first")));
        assert!(accounts::account_of(&store.db, &CustomerId::new("cus_second")).await.unwrap().is_none());
    }

    async fn a_customer_of_one_account_is_not_given_to_another(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(link(&store, "cus_ada", &ada).await);
        assert!(!link(&store, "cus_ada", &eve).await);
        assert_eq!(accounts::account_of(&store.db, &CustomerId::new("cus_ada")).await.unwrap(), Some(ada));
        assert!(accounts::customer_of(&store.db, &eve).await.unwrap().is_none());
    }

    async fn of_many_customers_linked_at_once_an_account_gets_one(store) {
        let account = store.account("ada@example.com").await;
        let linked = at_once(12, |n| {
            let (store, account) = (store.clone(), account.clone());
            async move { link(&store, &format!("cus_{n}"), &account).await }
        })
        .await;
        assert_eq!(linked.iter().filter(|linked| **linked).count(), 1);
        assert!(accounts::customer_of(&store.db, &account).await.unwrap().is_some());
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
}
