//! The balance is the sum of what each purchase said last.

use billing::{AccountId, Meter};
use server::product::{AI_GENERATIONS, API_CALLS};
use server::store::credits::{balances, grants};
use server::usage::credits::set_granted;

use crate::engines::{NOW, Store, at_once};

async fn say(store: &Store, account: &AccountId, meter: Meter, source: &str, units: i64) {
    let mut tx = store.db.begin().await.unwrap();
    set_granted(&mut tx, account, meter, source, units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

/// What is granted of AI generations, after making sure that it is the sum of the grants.
async fn granted(store: &Store, account: &AccountId) -> i64 {
    let meter = AI_GENERATIONS.as_str();
    let balance = balances(&store.db, account).await.unwrap().into_iter().find(|(key, ..)| key == meter);
    let balance = balance.map_or(0, |(_, granted, consumed)| {
        assert_eq!(consumed, 0, "nothing was used");
        granted
    });
    let all = grants(&store.db, account).await.unwrap();
    let sum: i64 = all.iter().filter(|(_, key, ..)| key == meter).map(|(_, _, units, _)| units).sum();
    assert_eq!(balance, sum, "{all:?}");
    balance
}

on_both_engines! {
    async fn a_purchase_said_again_and_again_is_granted_once(store) {
        let account = store.account("ada@example.com").await;
        for _ in 0..5 {
            say(&store, &account, AI_GENERATIONS, "pi_1", 100).await;
            assert_eq!(granted(&store, &account).await, 100);
        }
        say(&store, &account, AI_GENERATIONS, "pi_2", 100).await;
        assert_eq!(granted(&store, &account).await, 200);
    }

    async fn of_twenty_who_say_the_same_at_once_one_grants(store) {
        let account = store.account("ada@example.com").await;
        at_once(20, |_| {
            let (store, account) = (store.clone(), account.clone());
            async move { say(&store, &account, AI_GENERATIONS, "pi_1", 100).await }
        })
        .await;
        assert_eq!(granted(&store, &account).await, 100);
    }

    async fn purchases_at_once_are_all_granted(store) {
        let account = store.account("ada@example.com").await;
        at_once(20, |n| {
            let (store, account) = (store.clone(), account.clone());
            async move { say(&store, &account, AI_GENERATIONS, &format!("pi_{}", n % 10), 7).await }
        })
        .await;
        assert_eq!(granted(&store, &account).await, 70);
    }

    async fn a_refund_takes_back_what_its_purchase_gave_and_no_more(store) {
        let account = store.account("ada@example.com").await;
        say(&store, &account, AI_GENERATIONS, "pi_1", 100).await;
        say(&store, &account, AI_GENERATIONS, "pi_2", 50).await;
        say(&store, &account, AI_GENERATIONS, "pi_1", 0).await;
        assert_eq!(granted(&store, &account).await, 50);
        say(&store, &account, AI_GENERATIONS, "pi_1", -100).await;
        assert_eq!(granted(&store, &account).await, 50);
        say(&store, &account, AI_GENERATIONS, "pi_1", 100).await;
        assert_eq!(granted(&store, &account).await, 150, "a refund that failed gives it again");
    }

    async fn part_of_a_purchase_can_be_taken_back(store) {
        let account = store.account("ada@example.com").await;
        say(&store, &account, AI_GENERATIONS, "pi_1", 100).await;
        say(&store, &account, AI_GENERATIONS, "pi_1", 40).await;
        assert_eq!(granted(&store, &account).await, 40);
    }

    /// A product whose meter was corrected: what was said last counts, and nothing is left behind.
    async fn a_purchase_that_gives_something_else_gives_the_first_no_more(store) {
        let account = store.account("ada@example.com").await;
        say(&store, &account, AI_GENERATIONS, "pi_1", 100).await;
        say(&store, &account, API_CALLS, "pi_1", 30).await;
        assert_eq!(granted(&store, &account).await, 0);
        let balances = balances(&store.db, &account).await.unwrap();
        assert!(balances.contains(&(API_CALLS.as_str().to_owned(), 30, 0)), "{balances:?}");
    }

    async fn each_account_has_its_own(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        say(&store, &ada, AI_GENERATIONS, "pi_1", 100).await;
        assert_eq!((granted(&store, &ada).await, granted(&store, &eve).await), (100, 0));
    }

    async fn a_purchase_that_is_not_written_grants_nothing(store) {
        let account = store.account("ada@example.com").await;
        let mut tx = store.db.begin().await.unwrap();
        set_granted(&mut tx, &account, AI_GENERATIONS, "pi_1", 100, NOW).await.unwrap();
        drop(tx);
        assert_eq!(granted(&store, &account).await, 0);
    }
}
