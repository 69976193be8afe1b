//! All of a transaction, or nothing.

use billing::EventId;
use server::store::inbox::{self, EventState, NewEvent};
use server::store::{accounts, subscriptions};

use crate::engines::{NOW, pro};

on_both_engines! {
    async fn a_transaction_that_is_dropped_leaves_nothing(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let subscription = pro("sub_1", &customer);
        let event = EventId::new("evt_1");
        let row = NewEvent {
            id: &event,
            kind: "customer.subscription.created",
            api_version: None,
            created: NOW,
            subject: Some("sub_1"),
            customer: Some("cus_ada"),
            payload: "{}",
            state: EventState::Pending,
        };

        let mut tx = store.db.begin().await.unwrap();
        assert!(inbox::insert(&mut tx, &row, NOW).await.unwrap());
        assert!(subscriptions::write(&mut tx, &account, &subscription, None, "evt_1", NOW).await.unwrap());
        drop(tx);

        assert_eq!(inbox::count(&store.db).await.unwrap(), 0);
        assert!(subscriptions::by_id(&store.db, &subscription.id).await.unwrap().is_none());

        // And nothing of it stands in the way of the next one.
        let mut tx = store.db.begin().await.unwrap();
        assert!(inbox::insert(&mut tx, &row, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(inbox::count(&store.db).await.unwrap(), 1);
    }

    async fn what_is_not_committed_is_not_seen_by_others(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let mut tx = store.db.begin().await.unwrap();
        let subscription = pro("sub_1", &customer);
        assert!(subscriptions::write(&mut tx, &account, &subscription, None, "evt_1", NOW).await.unwrap());
        let seen = subscriptions::by_id(&store.db, &subscription.id).await.unwrap();
        assert!(seen.is_none(), "readers do not wait for writers and do not see half of their work");
        tx.commit().await.unwrap();
        assert!(subscriptions::by_id(&store.db, &subscription.id).await.unwrap().is_some());
    }

    async fn what_was_committed_is_there_after_a_restart(store) {
        store.account("ada@example.com").await;
        store.db.close().await;
        let db = store.another_node().await;
        let user = accounts::user_by_login(&db, "ada@example.com").await.unwrap();
        assert!(user.is_some());
        db.close().await;
    }
}
