//! Overage is reported once: collected by the hour, sealed, and sent by one process at a time.

use billing::AccountId;
use engine::ids;
use engine::store::meter_events::{self as rows, MeterEventState, Sealed, Sender};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{API_CALLS, NOW};

const HOUR: i64 = 3600;

fn sender(account: &AccountId) -> Sender {
    Sender { account_id: account.to_string(), meter: API_CALLS.to_string() }
}

async fn add(database: &TestDatabase, account: &AccountId, hour: i64, quantity: i64) {
    let hour = NOW.plus_seconds(hour * HOUR);
    let mut tx = database.db.begin().await.unwrap();
    rows::add(&mut tx, &ids::new_id(), account.as_str(), API_CALLS.as_str(), hour, quantity, hour.plus_seconds(HOUR))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn seal(database: &TestDatabase, account: &AccountId, hours: i64) -> Vec<Sealed> {
    let mut tx = database.db.begin().await.unwrap();
    let ids = rows::seal(&mut tx, &sender(account), NOW.plus_seconds(hours * HOUR)).await.unwrap();
    tx.commit().await.unwrap();
    let mut sealed = Vec::new();
    for id in ids {
        sealed.extend(rows::sealed(&database.db, &id).await.unwrap());
    }
    sealed
}

async fn lease(database: &TestDatabase, account: &AccountId, owner: &str, seconds: i64) -> bool {
    let now = NOW.plus_seconds(seconds);
    let mut tx = database.db.begin().await.unwrap();
    let leased = rows::lease(&mut tx, &sender(account), owner, now, now.plus_seconds(60)).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

on_both_databases! {
    async fn the_usage_of_one_hour_is_one_event(database) {
        let account = database.account("ada@example.com").await;
        concurrently(20, |_| {
            let (database, account) = (database.clone(), account.clone());
            async move { add(&database, &account, 0, 3).await }
        })
        .await;
        add(&database, &account, 1, 5).await;
        assert!(seal(&database, &account, 0).await.is_empty(), "the hour is not over");
        let sealed = seal(&database, &account, 1).await;
        assert_eq!(sealed.iter().map(|event| event.quantity).collect::<Vec<_>>(), [60]);
        assert_eq!(seal(&database, &account, 2).await.iter().map(|event| event.quantity).collect::<Vec<_>>(), [60, 5]);
    }

    async fn a_sealed_event_no_longer_changes(database) {
        let account = database.account("ada@example.com").await;
        add(&database, &account, 0, 3).await;
        let sealed = seal(&database, &account, 1).await;
        add(&database, &account, 0, 4).await;
        let later = seal(&database, &account, 1).await;
        assert!(later.contains(&sealed[0]), "{later:?}");
        assert_eq!(later.iter().map(|event| event.quantity).sum::<i64>(), 7);
        assert_eq!(later.len(), 2);
    }

    async fn a_sent_event_is_not_sent_again_and_a_failed_one_is_sent_later(database) {
        let account = database.account("ada@example.com").await;
        add(&database, &account, 0, 3).await;
        add(&database, &account, 1, 5).await;
        let sealed = seal(&database, &account, 2).await;
        let mut tx = database.db.begin().await.unwrap();
        rows::sent(&mut tx, &sealed[0].id, NOW).await.unwrap();
        assert!(rows::attempt(&mut tx, &sealed[1].id).await.unwrap());
        rows::reschedule(&mut tx, &sealed[1].id, NOW.plus_seconds(3 * HOUR), "Stripe is down").await.unwrap();
        assert!(!rows::attempt(&mut tx, &sealed[0].id).await.unwrap(), "it is sent");
        tx.commit().await.unwrap();
        assert!(seal(&database, &account, 2).await.is_empty());
        let due = seal(&database, &account, 3).await;
        assert_eq!((due.len(), due[0].attempts, &due[0].id), (1, 1, &sealed[1].id), "under the same identifier");
        let sent = rows::sent_units(&database.db, &account, API_CALLS.as_str(), NOW, NOW.plus_days(1)).await.unwrap();
        assert_eq!(sent, 3);
    }

    async fn only_one_of_many_concurrent_senders_gets_the_lease(database) {
        let account = database.account("ada@example.com").await;
        let leased = concurrently(10, |n| {
            let (database, account) = (database.clone(), account.clone());
            async move { lease(&database, &account, &format!("node {n}"), 0).await }
        })
        .await;
        assert_eq!(leased.iter().filter(|leased| **leased).count(), 1);
        assert!(!lease(&database, &account, "another", 59).await);
        assert!(lease(&database, &account, "another", 60).await, "the lease has expired");
        let mut tx = database.db.begin().await.unwrap();
        rows::release(&mut tx, &sender(&account), "another").await.unwrap();
        tx.commit().await.unwrap();
        assert!(lease(&database, &account, "third", 61).await);
    }

    async fn a_meter_is_due_when_one_of_its_events_is(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        add(&database, &ada, 0, 3).await;
        add(&database, &eve, 1, 3).await;
        let due = async |hours: i64| rows::due(&database.db, NOW.plus_seconds(hours * HOUR), 10).await.unwrap();
        assert_eq!(due(0).await, []);
        assert_eq!(due(1).await, [sender(&ada)]);
        assert_eq!(due(2).await, [sender(&ada), sender(&eve)], "the one that has waited longest comes first");
        assert!(lease(&database, &ada, "node", 0).await);
        assert_eq!(rows::senders(&database.db).await.unwrap(), [sender(&ada)], "those that were ever sent");
    }

    async fn a_parked_event_is_not_sent_and_sent_ones_are_pruned(database) {
        let account = database.account("ada@example.com").await;
        for hour in 0..3 {
            add(&database, &account, hour, 3).await;
        }
        let sealed = seal(&database, &account, 3).await;
        let mut tx = database.db.begin().await.unwrap();
        rows::park(&mut tx, &sealed[0].id, "too old").await.unwrap();
        rows::sent(&mut tx, &sealed[1].id, NOW).await.unwrap();
        rows::sent(&mut tx, &sealed[0].id, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seal(&database, &account, 9).await, [sealed[2].clone()]);
        let count = async |state| rows::count(&database.db, state).await.unwrap();
        use MeterEventState::{Open, Parked, Sealed, Sent};
        assert_eq!((count(Open).await, count(Sealed).await, count(Sent).await, count(Parked).await), (0, 1, 1, 1));
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(rows::prune(&mut tx, NOW.plus_days(9), 10).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!((count(Sealed).await, count(Sent).await, count(Parked).await), (1, 0, 1));
    }

    async fn sent_events_are_pruned_in_batches(database) {
        let account = database.account("ada@example.com").await;
        for hour in 0..5 {
            add(&database, &account, hour, 3).await;
        }
        let sealed = seal(&database, &account, 5).await;
        let mut tx = database.db.begin().await.unwrap();
        for event in &sealed {
            rows::sent(&mut tx, &event.id, NOW).await.unwrap();
        }
        let mut pruned = Vec::new();
        for _ in 0..3 {
            pruned.push(rows::prune(&mut tx, NOW.plus_days(1), 2).await.unwrap());
        }
        tx.commit().await.unwrap();
        assert_eq!(pruned, [2, 2, 1]);
    }
}
