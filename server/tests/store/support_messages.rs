//! An account sees its latest messages to support.

use billing::AccountId;
use server::store::support_messages;

use crate::databases::TestDatabase;
use crate::people::NOW;

async fn insert(database: &TestDatabase, account: &AccountId, n: i64) {
    let mut tx = database.db.begin().await.unwrap();
    let (id, at) = (format!("message_{account}_{n:03}"), NOW.plus_seconds(n / 2));
    support_messages::insert(&mut tx, account, &id, &format!("subject {n}"), "Zeile 1\nZeile 2 ☂", at).await.unwrap();
    tx.commit().await.unwrap();
}

/// The subjects of an account's messages, in the order of the list.
async fn subjects(database: &TestDatabase, account: &AccountId) -> Vec<String> {
    let messages = support_messages::of_account(&database.db, account).await.unwrap();
    messages.into_iter().map(|message| message.subject).collect()
}

on_both_databases! {
    async fn a_message_is_read_back_as_it_was_written(database) {
        let ada = database.person("ada@example.com").await.account;
        insert(&database, &ada, 4).await;
        let messages = support_messages::of_account(&database.db, &ada).await.unwrap();
        let [message] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((message.subject.as_str(), message.body.as_str()), ("subject 4", "Zeile 1\nZeile 2 ☂"));
        assert_eq!((message.id.clone(), message.created_at), (format!("message_{ada}_004"), NOW.0 + 2));
    }

    async fn an_account_sees_its_own_latest_fifty_messages_newest_first(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        for n in 0..53 {
            insert(&database, &ada, n).await;
        }
        insert(&database, &eve, 99).await;
        let expected: Vec<String> = (3..53).rev().map(|n| format!("subject {n}")).collect();
        assert_eq!(subjects(&database, &ada).await, expected);
    }

    async fn the_messages_of_an_account_are_deleted_together(database) {
        let (ada, eve) =
            (database.person("ada@example.com").await.account, database.person("eve@example.com").await.account);
        for n in 0..3 {
            insert(&database, &ada, n).await;
        }
        insert(&database, &eve, 7).await;
        let mut tx = database.db.begin().await.unwrap();
        support_messages::delete_all(&mut tx, &ada).await.unwrap();
        tx.commit().await.unwrap();
        assert!(subjects(&database, &ada).await.is_empty());
        assert_eq!(subjects(&database, &eve).await, ["subject 7"]);
    }
}
