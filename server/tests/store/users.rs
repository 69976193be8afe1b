//! Users, the accounts they act for, and their roles.

use billing::{AccountId, UserId};
use secrecy::ExposeSecret;
use server::store::users::{self, Role};

use crate::databases::{TestDatabase, concurrently};
use crate::people::Person;

async fn set_role(database: &TestDatabase, id: &UserId, role: Role) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let changed = users::set_role(&mut tx, id, role).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

async fn remove_members(database: &TestDatabase, account: &AccountId) -> Vec<UserId> {
    let mut tx = database.db.begin().await.unwrap();
    let removed = users::remove_members(&mut tx, account).await.unwrap();
    tx.commit().await.unwrap();
    removed
}

/// Makes a user a member of another account too.
async fn join(database: &TestDatabase, person: &Person, account: &AccountId) {
    let sql =
        format!("INSERT INTO membership (account_id, user_id, role) VALUES ('{account}', '{}', 'member')", person.user);
    database.execute(&sql).await;
}

on_both_databases! {
    async fn a_new_user_acts_for_an_account_of_their_own(database) {
        let ada = database.person("Ada.Byron+shop@Example.com").await;
        let user = users::by_login(&database.db, "ada.byron+shop@example.com").await.unwrap().expect("she signed up");
        assert_eq!((&user.id, &user.account_id), (&ada.user, &ada.account));
        assert_eq!(user.email, "Ada.Byron+shop@Example.com", "as it was typed");
        assert_eq!(user.password_hash.expose_secret(), "$argon2id$…");
        assert_eq!(user.role, Role::Customer);
        assert!(!format!("{user:?}").contains("argon2id"), "the hash is printed");
        let again = users::by_id(&database.db, &ada.user).await.unwrap().expect("she signed up");
        assert_eq!((again.id, again.account_id), (user.id, user.account_id));
    }

    async fn an_address_is_taken_in_any_case(database) {
        let first = database.person("ada@example.com").await;
        assert!(database.sign_up("ADA@Example.COM").await.is_none());
        assert!(database.sign_up(" ada@example.com ").await.is_none());
        let user = users::by_login(&database.db, "ada@example.com").await.unwrap().unwrap();
        assert_eq!(user.account_id, first.account, "nothing of the first has changed");
    }

    async fn an_address_beyond_ascii_is_taken_in_any_case(database) {
        database.person("Örjan@Example.com").await;
        assert!(database.sign_up("ÖRJAN@example.com").await.is_none());
    }

    /// Trials are counted by the canonical address, logins are not.
    async fn an_alias_of_an_address_is_another_user(database) {
        database.person("ada@example.com").await;
        assert!(database.sign_up("ada+work@example.com").await.is_some());
    }

    async fn only_one_of_twenty_concurrent_sign_ups_with_the_same_address_succeeds(database) {
        let added = concurrently(20, |_| {
            let database = database.clone();
            async move { database.sign_up("ada@example.com").await }
        })
        .await;
        assert_eq!(added.iter().flatten().count(), 1);
    }

    async fn an_unknown_user_is_not_found(database) {
        assert!(users::by_login(&database.db, "ada@example.com").await.unwrap().is_none());
        assert!(users::by_id(&database.db, &UserId::new("none")).await.unwrap().is_none());
        assert!(remove_members(&database, &AccountId::new("none")).await.is_empty());
    }

    async fn the_operator_role_is_granted_and_revoked(database) {
        let mut people = Vec::new();
        for email in ["Zoe@example.com", "Ada@example.com", "eve@example.com"] {
            people.push(database.person(email).await);
        }
        assert!(users::operators(&database.db).await.unwrap().is_empty());
        assert!(set_role(&database, &people[0].user, Role::Operator).await);
        assert!(set_role(&database, &people[1].user, Role::Operator).await);
        assert!(!set_role(&database, &UserId::new("none"), Role::Operator).await);
        assert_eq!(users::operators(&database.db).await.unwrap(), ["Ada@example.com", "Zoe@example.com"]);
        let role = async |login_key: &str| users::by_login(&database.db, login_key).await.unwrap().unwrap().role;
        assert_eq!(role("ada@example.com").await, Role::Operator);
        assert_eq!(role("eve@example.com").await, Role::Customer);

        assert!(set_role(&database, &people[1].user, Role::Customer).await);
        assert_eq!(role("ada@example.com").await, Role::Customer);
        assert_eq!(users::operators(&database.db).await.unwrap(), ["Zoe@example.com"]);
    }

    /// An address can be signed up again while an operator is being confirmed.
    async fn a_role_is_given_to_the_user_and_not_to_a_later_owner_of_the_address(database) {
        let first = database.person("ada@example.com").await;
        remove_members(&database, &first.account).await;
        database.person("ada@example.com").await;
        assert!(!set_role(&database, &first.user, Role::Operator).await);
        assert!(users::operators(&database.db).await.unwrap().is_empty());
    }

    async fn removing_the_members_of_an_account_deletes_users_without_another_account(database) {
        let (ada, eve) = (database.person("ada@example.com").await, database.person("eve@example.com").await);
        join(&database, &ada, &eve.account).await;
        let mut removed = remove_members(&database, &eve.account).await;
        let mut members = vec![ada.user.clone(), eve.user];
        removed.sort();
        members.sort();
        assert_eq!(removed, members);
        assert!(users::by_login(&database.db, "eve@example.com").await.unwrap().is_none(), "she had no other account");
        let member = users::by_login(&database.db, "ada@example.com").await.unwrap().expect("she has her own account");
        assert_eq!(member.account_id, ada.account);
        assert!(database.sign_up("eve@example.com").await.is_some(), "the address is free again");
    }
}
