//! Usage is counted exactly, once per key, and never past the limit.

use billing::{AccountId, Limit, Meter, Timestamp};
use server::Tollgate;
use server::clock::Clock;
use server::usage::{Recorded, UsageError};

use crate::engines::{NOW, Store, at_once, pro};

/// What is used of the free plan's hundred calls.
async fn used(tollgate: &Tollgate, account: &AccountId, meter: Meter) -> u64 {
    let readings = tollgate.usage(account).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == meter).expect("every meter is read").used
}

async fn record(tollgate: &Tollgate, account: &AccountId, quantity: u64, key: &str) -> Recorded {
    tollgate.record_usage(account, Meter::ApiCalls, quantity, key).await.unwrap()
}

/// A subscriber on the plan with this lookup key.
async fn subscriber(store: &Store, lookup_key: &str) -> AccountId {
    let account = store.account("ada@example.com").await;
    let customer = store.customer(&account, "cus_ada").await;
    let mut subscription = pro("sub_1", &customer);
    subscription.items[0].lookup_key = Some(lookup_key.to_owned());
    assert!(store.write(&account, &subscription, None).await);
    account
}

on_both_engines! {
    async fn a_use_is_counted_and_read_back(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let Recorded::Counted(reading) = record(&tollgate, &account, 3, "key").await else { panic!("not counted") };
        assert_eq!((reading.meter, reading.used, reading.limit), (Meter::ApiCalls, 3, Limit::Finite(100)));
        assert!(reading.window.start <= NOW && NOW < reading.window.end);
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 3);
        assert_eq!(used(&tollgate, &account, Meter::AiGenerations).await, 0, "each meter by itself");
    }

    async fn of_fifty_who_ask_for_the_last_call_at_once_one_gets_it(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        assert!(matches!(record(&tollgate, &account, 99, "first").await, Recorded::Counted(_)));
        let answers = at_once(50, |n| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { record(&tollgate, &account, 1, &format!("key {n}")).await }
        })
        .await;
        let counted = answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count();
        assert_eq!(counted, 1);
        for answer in &answers {
            let (Recorded::Counted(reading) | Recorded::Denied(reading)) = answer else { panic!("{answer:?}") };
            assert_eq!(reading.used, 100);
        }
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 100);
    }

    async fn fifty_calls_at_once_under_the_limit_all_count(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let answers = at_once(50, |n| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { record(&tollgate, &account, 2, &format!("key {n}")).await }
        })
        .await;
        assert!(answers.iter().all(|answer| matches!(answer, Recorded::Counted(_))));
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 100);
    }

    async fn one_key_sent_twenty_times_at_once_counts_once(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let answers = at_once(20, |_| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { record(&tollgate, &account, 5, "key").await }
        })
        .await;
        let count = |wanted: fn(&Recorded) -> bool| answers.iter().filter(|answer| wanted(answer)).count();
        assert_eq!(count(|answer| matches!(answer, Recorded::Counted(_))), 1);
        assert_eq!(count(|answer| matches!(answer, Recorded::Repeated(_))), 19);
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 5);
    }

    async fn a_key_used_for_something_else_is_refused(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 5, "key").await;
        let other_quantity = tollgate.record_usage(&account, Meter::ApiCalls, 6, "key").await;
        assert!(matches!(other_quantity, Err(UsageError::KeyReused)), "{other_quantity:?}");
        let other_meter = tollgate.record_usage(&account, Meter::AiGenerations, 5, "key").await;
        assert!(matches!(other_meter, Err(UsageError::KeyReused)), "{other_meter:?}");
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 5);
    }

    async fn a_key_is_its_accounts_own(store) {
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(matches!(record(&tollgate, &ada, 1, "key").await, Recorded::Counted(_)));
        assert!(matches!(record(&tollgate, &eve, 2, "key").await, Recorded::Counted(_)));
    }

    async fn more_than_the_rest_is_refused_whole(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 95, "first").await;
        let Recorded::Denied(reading) = record(&tollgate, &account, 6, "key").await else { panic!("passed the limit") };
        assert_eq!((reading.used, reading.limit), (95, Limit::Finite(100)));
        assert!(matches!(record(&tollgate, &account, 5, "key").await, Recorded::Counted(_)), "a denied key is still free");
        assert!(matches!(record(&tollgate, &account, 101, "more").await, Recorded::Denied(_)));
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 100);
    }

    async fn more_than_the_whole_limit_is_refused_on_an_empty_counter(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        assert!(matches!(record(&tollgate, &account, 101, "key").await, Recorded::Denied(_)));
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 0);
    }

    async fn a_quantity_that_cannot_be_counted_is_an_error(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        for quantity in [0, u64::MAX, i64::MAX as u64 + 1] {
            let refused = tollgate.record_usage(&account, Meter::ApiCalls, quantity, "key").await;
            assert!(matches!(refused, Err(UsageError::Quantity)), "{quantity}: {refused:?}");
        }
    }

    async fn unlimited_is_counted_and_never_denied(store) {
        let account = subscriber(&store, "tollgate_enterprise_month").await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let Recorded::Counted(reading) = record(&tollgate, &account, 1_000_000, "key").await else { panic!("denied") };
        assert_eq!((reading.used, reading.limit), (1_000_000, Limit::Unlimited));
        assert!(matches!(record(&tollgate, &account, 1_000_000, "another").await, Recorded::Counted(_)));
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 2_000_000);
    }

    async fn a_counter_that_is_full_denies_instead_of_failing(store) {
        let account = subscriber(&store, "tollgate_enterprise_month").await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        assert!(matches!(record(&tollgate, &account, i64::MAX as u64, "all").await, Recorded::Counted(_)));
        assert!(matches!(record(&tollgate, &account, 1, "one more").await, Recorded::Denied(_)));
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, i64::MAX as u64);
    }

    async fn the_free_count_begins_anew_with_the_calendar_month_in_utc(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        let first_of_june = Timestamp(1_780_272_000);
        clock.set(first_of_june.plus_seconds(-1));
        record(&tollgate, &account, 100, "may").await;
        assert!(matches!(record(&tollgate, &account, 1, "late").await, Recorded::Denied(_)));

        clock.set(first_of_june);
        let Recorded::Counted(reading) = record(&tollgate, &account, 1, "late").await else { panic!("denied") };
        assert_eq!((reading.used, reading.window.start), (1, first_of_june));
        assert!(matches!(record(&tollgate, &account, 100, "may").await, Recorded::Repeated(_)), "a key outlives its window");
        assert_eq!(used(&tollgate, &account, Meter::ApiCalls).await, 1);
    }

    async fn the_paid_count_begins_anew_with_the_billing_anchor(store) {
        let account = subscriber(&store, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW);
        let tollgate = store.tollgate(&clock);
        let Recorded::Counted(reading) = record(&tollgate, &account, 10_000, "all").await else { panic!("denied") };
        assert_eq!((reading.limit, reading.window.start), (Limit::Finite(10_000), NOW));
        let renewal = reading.window.end;
        clock.set(renewal.plus_seconds(-1));
        assert!(matches!(record(&tollgate, &account, 1, "early").await, Recorded::Denied(_)));
        clock.set(renewal);
        let Recorded::Counted(reading) = record(&tollgate, &account, 1, "on time").await else { panic!("denied") };
        assert_eq!((reading.used, reading.window.start), (1, renewal));
    }

    /// Two nodes, one counter.
    async fn two_nodes_count_together(store) {
        let account = store.account("ada@example.com").await;
        let other = store.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [store.tollgate(&clock), crate::engines::tollgate(other.clone(), &clock)];
        let answers = at_once(60, |n| {
            let (tollgate, account) = (nodes[n % 2].clone(), account.clone());
            async move { record(&tollgate, &account, 2, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count(), 50);
        assert_eq!(used(&nodes[0], &account, Meter::ApiCalls).await, 100);
        other.close().await;
    }
}
