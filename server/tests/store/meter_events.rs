//! Use that is billed is sent once: collected, sealed, and sent from one place at a time.

use billing::AccountId;
use server::ids;
use server::store::meter_events::{self as rows, Fate, Sealed};

use crate::engines::{NOW, Store, at_once};

const METER: &str = "apiCallsPerMonth";
const HOUR: i64 = 3600;

async fn add(store: &Store, account: &AccountId, hour: i64, quantity: i64) {
    let hour = NOW.plus_seconds(hour * HOUR);
    let mut tx = store.db.begin().await.unwrap();
    rows::add(&mut tx, &ids::new_id(), account.as_str(), METER, hour, quantity, hour.plus_seconds(HOUR)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn seal(store: &Store, account: &AccountId, hours: i64) -> Vec<Sealed> {
    let mut tx = store.db.begin().await.unwrap();
    let sealed = rows::seal(&mut tx, account.as_str(), METER, NOW.plus_seconds(hours * HOUR)).await.unwrap();
    tx.commit().await.unwrap();
    sealed
}

async fn take(store: &Store, account: &AccountId, owner: &str, seconds: i64) -> bool {
    let now = NOW.plus_seconds(seconds);
    let mut tx = store.db.begin().await.unwrap();
    let taken = rows::take_sender(&mut tx, account.as_str(), METER, owner, now, now.plus_seconds(60)).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

on_both_engines! {
    async fn use_of_one_hour_is_one_event(store) {
        let account = store.account("ada@example.com").await;
        at_once(20, |_| {
            let (store, account) = (store.clone(), account.clone());
            async move { add(&store, &account, 0, 3).await }
        })
        .await;
        add(&store, &account, 1, 5).await;
        assert!(seal(&store, &account, 0).await.is_empty(), "the hour is not over");
        let sealed = seal(&store, &account, 1).await;
        assert_eq!(sealed.iter().map(|event| event.quantity).collect::<Vec<_>>(), [60]);
        assert_eq!(seal(&store, &account, 2).await.iter().map(|event| event.quantity).collect::<Vec<_>>(), [60, 5]);
    }

    async fn what_is_sealed_does_not_change_any_more(store) {
        let account = store.account("ada@example.com").await;
        add(&store, &account, 0, 3).await;
        let sealed = seal(&store, &account, 1).await;
        add(&store, &account, 0, 4).await;
        let later = seal(&store, &account, 1).await;
        assert!(later.contains(&sealed[0]), "{later:?}");
        assert_eq!(later.iter().map(|event| event.quantity).sum::<i64>(), 7);
        assert_eq!(later.len(), 2);
    }

    async fn what_was_sent_is_not_sent_again_and_what_failed_is_later(store) {
        let account = store.account("ada@example.com").await;
        add(&store, &account, 0, 3).await;
        add(&store, &account, 1, 5).await;
        let sealed = seal(&store, &account, 2).await;
        let mut tx = store.db.begin().await.unwrap();
        rows::sent(&mut tx, &sealed[0].id, NOW).await.unwrap();
        rows::attempt(&mut tx, &sealed[1].id, NOW).await.unwrap();
        rows::postpone(&mut tx, &sealed[1].id, NOW.plus_seconds(3 * HOUR), "Stripe is down", Fate::Unknown).await.unwrap();
        tx.commit().await.unwrap();
        assert!(seal(&store, &account, 2).await.is_empty());
        let due = seal(&store, &account, 3).await;
        assert_eq!((due.len(), due[0].attempts, &due[0].id), (1, 1, &sealed[1].id), "under the same identifier");
        let sent = rows::sent_of(&store.db, &account, METER, NOW, NOW.plus_days(1)).await.unwrap();
        assert_eq!(sent, [(NOW.0, 3)]);
    }

    async fn one_of_many_senders_has_the_place(store) {
        let account = store.account("ada@example.com").await;
        let taken = at_once(10, |n| {
            let (store, account) = (store.clone(), account.clone());
            async move { take(&store, &account, &format!("node {n}"), 0).await }
        })
        .await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        assert!(!take(&store, &account, "another", 59).await);
        assert!(take(&store, &account, "another", 60).await, "the one who had it died");
        let mut tx = store.db.begin().await.unwrap();
        rows::give_sender(&mut tx, account.as_str(), METER, "another").await.unwrap();
        tx.commit().await.unwrap();
        assert!(take(&store, &account, "third", 61).await);
    }
}
