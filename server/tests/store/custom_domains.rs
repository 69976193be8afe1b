//! An account has one domain, and a domain one account.

use billing::AccountId;
use engine::StoreError;
use server::store::custom_domains;

use crate::databases::{TestDatabase, concurrently};
use crate::people::NOW;

async fn set(database: &TestDatabase, account: &AccountId, domain: &str) -> Result<(), StoreError> {
    let mut tx = database.db.begin().await?;
    custom_domains::set(&mut tx, account, domain, NOW).await?;
    tx.commit().await
}

async fn of_account(database: &TestDatabase, account: &AccountId) -> Option<String> {
    custom_domains::of_account(&database.db, account).await.unwrap()
}

async fn owner(database: &TestDatabase, domain: &str) -> Option<AccountId> {
    let mut tx = database.db.begin().await.unwrap();
    custom_domains::owner(&mut tx, domain).await.unwrap()
}

on_both_databases! {
    async fn a_domain_is_found_from_its_account_and_from_its_name(database) {
        let ada = database.person("ada@example.com").await.account;
        assert_eq!((of_account(&database, &ada).await, owner(&database, "ada.dev").await), (None, None));
        set(&database, &ada, "ada.dev").await.unwrap();
        assert_eq!(of_account(&database, &ada).await.as_deref(), Some("ada.dev"));
        assert_eq!(owner(&database, "ada.dev").await, Some(ada));
    }

    async fn an_account_can_change_its_domain_and_frees_the_old_one(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        set(&database, &ada, "ada.dev").await.unwrap();
        set(&database, &ada, "byron.dev").await.unwrap();
        assert_eq!(of_account(&database, &ada).await.as_deref(), Some("byron.dev"));
        set(&database, &eve, "ada.dev").await.expect("it is free again");
        assert_eq!(owner(&database, "ada.dev").await, Some(eve));
    }

    async fn the_domain_of_another_account_is_rejected(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        set(&database, &ada, "ada.dev").await.unwrap();
        assert!(set(&database, &eve, "ada.dev").await.is_err());
        assert_eq!((owner(&database, "ada.dev").await, of_account(&database, &eve).await), (Some(ada), None));
    }

    async fn only_one_of_many_accounts_gets_a_domain(database) {
        let mut accounts = Vec::new();
        for n in 0..6 {
            accounts.push(database.person(&format!("user{n}@example.com")).await.account);
        }
        let set = concurrently(6, |n| {
            let (database, account) = (database.clone(), accounts[n].clone());
            async move { set(&database, &account, "ada.dev").await.is_ok() }
        })
        .await;
        assert_eq!(set.iter().filter(|is_set| **is_set).count(), 1);
    }

    async fn a_deleted_domain_is_free(database) {
        let ada = database.person("ada@example.com").await.account;
        set(&database, &ada, "ada.dev").await.unwrap();
        let mut tx = database.db.begin().await.unwrap();
        custom_domains::delete(&mut tx, &ada).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((of_account(&database, &ada).await, owner(&database, "ada.dev").await), (None, None));
    }
}
