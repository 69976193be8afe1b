//! Users with accounts of their own.

use billing::email::Email;
use billing::{AccountId, Timestamp, UserId};
use engine::ids;
use engine::store::accounts;
use server::store::users;

use crate::databases::TestDatabase;

/// 1 May 2026, 12:00 UTC, the start time of every test.
pub const NOW: Timestamp = Timestamp(1_777_636_800);

/// A user and the account they own.
#[derive(Clone, Debug)]
pub struct Person {
    pub user: UserId,
    pub account: AccountId,
}

impl TestDatabase {
    /// Creates a user with an account of their own; `None` if the address is taken.
    pub async fn sign_up(&self, email: &str) -> Option<Person> {
        let person = Person { user: UserId::new(ids::new_id()), account: AccountId::new(ids::new_id()) };
        let email = Email::parse(email).expect("the address is valid");
        let mut tx = self.db.begin().await.unwrap();
        if !users::insert(&mut tx, &person.user, &email, "$argon2id$…", NOW).await.unwrap() {
            return None;
        }
        assert!(accounts::insert(&mut tx, &person.account, &email, None, NOW).await.unwrap());
        users::add_owner(&mut tx, &person.account, &person.user).await.unwrap();
        tx.commit().await.unwrap();
        Some(person)
    }

    /// Creates a user whose address is free.
    pub async fn person(&self, email: &str) -> Person {
        self.sign_up(email).await.expect("the address is free")
    }
}
