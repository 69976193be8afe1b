//! Subscriptions are written whole, by one writer at a time; trials are once per person.

use billing::{Item, Period, PriceId, Status, Subscription, SubscriptionId, Tier, Timestamp};
use server::StoreError;
use server::store::subscriptions::{self, Stored};

use crate::engines::{NOW, Store, at_once, pro};

async fn stored(store: &Store, id: &str) -> Stored {
    subscriptions::by_id(&store.db, &SubscriptionId::new(id)).await.unwrap().expect("it was written")
}

on_both_engines! {
    async fn every_field_comes_back_as_it_was_written(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let line = |n: i64, lookup_key: Option<&str>, quantity| Item {
            id: format!("si_{n}"),
            price: PriceId::new(format!("price_{n}")),
            lookup_key: lookup_key.map(str::to_owned),
            quantity,
            period: Period { start: Timestamp(n), end: Timestamp(n + 1) },
        };
        let full = Subscription {
            id: SubscriptionId::new("sub_full"),
            customer: customer.clone(),
            status: Status::Unknown("hibernating".to_owned()),
            items: vec![line(101, Some("tollgate_pro_month"), 1), line(201, None, 9_000_000_000)],
            created: Timestamp(1),
            billing_cycle_anchor: Timestamp(2),
            cancel_at_period_end: true,
            cancel_at: Some(Timestamp(3)),
            ended_at: Some(Timestamp(4)),
            trial_end: Some(Timestamp(5)),
            past_due_since: Some(Timestamp(6)),
            last_known_tier: Some(Tier::new("PRO")),
        };
        let bare = pro("sub_bare", &customer);
        for written in [&full, &bare] {
            assert!(store.write(&account, written, None).await);
            let read = stored(&store, written.id.as_str()).await;
            assert_eq!((&read.subscription, read.version), (written, 1));
        }
        let newest_first = vec![bare.clone(), full.clone()];
        assert_eq!(subscriptions::of_account(&store.db, &account).await.unwrap(), newest_first);
        let mut tx = store.db.begin().await.unwrap();
        assert_eq!(subscriptions::of_account_in(&mut tx, &account).await.unwrap(), newest_first);
        drop(tx);

        // What was there and is not any more must not stay behind.
        let emptied = Subscription { id: full.id.clone(), ..bare };
        assert!(store.write(&account, &emptied, Some(1)).await);
        let read = stored(&store, "sub_full").await;
        assert_eq!((read.subscription, read.version), (emptied, 2));
    }

    async fn every_status_comes_back(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let words =
            ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled", "new"];
        for word in words {
            let subscription = Subscription { status: Status::from(word.to_owned()), ..pro(&format!("sub_{word}"), &customer) };
            assert!(store.write(&account, &subscription, None).await);
            assert_eq!(stored(&store, subscription.id.as_str()).await.subscription.status.as_str(), word);
        }
    }

    async fn a_customer_may_have_many_subscriptions(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_first", &customer) };
        assert!(store.write(&account, &canceled, None).await);
        let again = Subscription { created: NOW.plus_days(1), ..pro("sub_second", &customer) };
        assert!(store.write(&account, &again, None).await);
        assert_eq!(subscriptions::of_account(&store.db, &account).await.unwrap(), [again, canceled]);
    }

    async fn the_second_of_two_who_saw_the_same_version_is_refused(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);

        let newer = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        let older = Subscription { status: Status::PastDue, ..pro("sub_1", &customer) };
        assert!(store.write(&account, &newer, Some(1)).await);
        assert!(!store.write(&account, &older, Some(1)).await, "it may hold the older answer");
        assert!(!store.write(&account, &older, None).await, "there is a row by now");
        let read = stored(&store, "sub_1").await;
        assert_eq!((read.subscription, read.version), (newer, 2));
    }

    async fn nothing_is_updated_that_is_not_there(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(!store.write(&account, &pro("sub_1", &customer), Some(1)).await);
        assert!(subscriptions::by_id(&store.db, &SubscriptionId::new("sub_1")).await.unwrap().is_none());
    }

    async fn of_many_who_insert_at_once_one_wins(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let written = at_once(16, |_| {
            let (store, account, subscription) = (store.clone(), account.clone(), pro("sub_1", &customer));
            async move { store.write(&account, &subscription, None).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&store, "sub_1").await.version, 1);
    }

    async fn of_many_who_update_one_version_at_once_one_wins(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        let written = at_once(16, |_| {
            let (store, account, subscription) = (store.clone(), account.clone(), pro("sub_1", &customer));
            async move { store.write(&account, &subscription, Some(1)).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&store, "sub_1").await.version, 2);
    }

    async fn what_was_known_at_any_time_can_be_told(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let first = pro("sub_1", &customer);
        let canceled = Subscription { status: Status::Canceled, ..first.clone() };
        let second = pro("sub_2", &customer);
        for (subscription, seen, cause, day) in [
            (&first, None, "evt_1", 0),
            (&canceled, Some(1), "evt_2,evt_3", 2),
            (&second, None, "asked", 4),
            (&first, Some(2), "evt_4", 4),
        ] {
            let mut tx = store.db.begin().await.unwrap();
            let at = NOW.plus_days(day);
            assert!(subscriptions::write(&mut tx, &account, subscription, seen, cause, at).await.unwrap());
            assert!(!subscriptions::write(&mut tx, &account, subscription, seen, "too late", at).await.unwrap());
            tx.commit().await.unwrap();
        }
        let as_of = async |at| {
            let known = subscriptions::as_of(&store.db, &account, at).await.unwrap();
            known.into_iter().map(|revision| (revision.subscription, revision.version, revision.cause)).collect::<Vec<_>>()
        };
        assert_eq!(as_of(NOW.plus_seconds(-1)).await, []);
        let at_first = (first.clone(), 1, "evt_1".to_owned());
        assert_eq!(as_of(NOW).await, vec![at_first.clone()]);
        assert_eq!(as_of(NOW.plus_days(2).plus_seconds(-1)).await, [at_first]);
        let over = (canceled, 2, "evt_2,evt_3".to_owned());
        assert_eq!(as_of(NOW.plus_days(2)).await, vec![over.clone()]);
        assert_eq!(as_of(NOW.plus_days(4).plus_seconds(-1)).await, [over]);
        let last = [(second, 1, "asked".to_owned()), (first, 3, "evt_4".to_owned())];
        assert_eq!(as_of(NOW.plus_days(4)).await, last);
        assert_eq!(as_of(NOW.plus_days(400)).await, last);
    }

    async fn a_broken_row_says_where_it_is(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        store.raw("UPDATE subscription SET items = '[{\"id\": 7}]' WHERE id = 'sub_1'").await;
        let error = subscriptions::of_account(&store.db, &account).await.expect_err("the row is broken");
        let StoreError::BadRow { table, row, column, .. } = &error else { panic!("{error}") };
        assert_eq!((*table, row.as_str(), *column), ("subscription", "sub_1", "items"));
        assert!(error.to_string().contains("`subscription`") && error.to_string().contains("`items`"), "{error}");
        assert!(subscriptions::by_id(&store.db, &SubscriptionId::new("sub_1")).await.is_err());
    }

    async fn a_trial_is_once_per_account_and_once_per_person(store) {
        let (ada, alias, eve) = (
            store.account("ada@example.com").await,
            store.account("ada+again@example.com").await,
            store.account("eve@example.com").await,
        );
        let claimed = async |account, email| subscriptions::trial_claimed(&store.db, account, email).await.unwrap();
        assert!(!claimed(&ada, "ada@example.com").await);

        let mut tx = store.db.begin().await.unwrap();
        for _ in 0..2 {
            let sub = SubscriptionId::new("sub_1");
            subscriptions::claim_trial(&mut tx, &ada, Some("ada@example.com"), &sub, NOW).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert!(claimed(&ada, "ada@example.com").await);
        assert!(claimed(&ada, "new-address@example.com").await, "the account has had its trial");
        assert!(claimed(&alias, "ada@example.com").await, "the person has had their trial");
        assert!(!claimed(&eve, "eve@example.com").await);
    }

    /// An account id that reads like an address, or the other way round, claims nothing of the other kind.
    async fn claims_of_accounts_and_of_addresses_do_not_mix(store) {
        let odd = billing::AccountId::new("ada@example.com");
        let mut tx = store.db.begin().await.unwrap();
        subscriptions::claim_trial(&mut tx, &odd, None, &SubscriptionId::new("sub_1"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let other = billing::AccountId::new("other");
        assert!(!subscriptions::trial_claimed(&store.db, &other, "ada@example.com").await.unwrap());
    }
}
