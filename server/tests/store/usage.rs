//! Usage is counted exactly, once per key, and never past the limit.

use billing::{AccountId, Limit, Meter, Timestamp};
use server::clock::Clock;
use server::product::{AI_GENERATIONS, API_CALLS};
use server::store::usage as rows;
use server::usage::{Recorded, UsageError, Use, sweeper};
use server::{Tollgate, ids};

use crate::engines::{NOW, Store, at_once, pro, tollgate_with};

/// What is used of the free plan's hundred calls.
async fn used(tollgate: &Tollgate, account: &AccountId, meter: Meter) -> u64 {
    let readings = tollgate.usage(account).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == meter).expect("every meter is read").used
}

async fn record(tollgate: &Tollgate, account: &AccountId, quantity: u64, key: &str) -> Recorded {
    tollgate.record_usage(account, API_CALLS, quantity, key).await.unwrap()
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
        assert_eq!((reading.meter, reading.used, reading.limit), (API_CALLS, 3, Limit::Finite(100)));
        assert!(reading.window.start <= NOW && NOW < reading.window.end);
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 3);
        assert_eq!(used(&tollgate, &account, AI_GENERATIONS).await, 0, "each meter by itself");
    }

    async fn what_can_still_be_used_is_said_and_nothing_is_counted(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 97, "key").await;
        let mut said = Vec::new();
        for quantity in [1, 3, 4] {
            let (is_had, reading) = tollgate.check_usage(&account, API_CALLS, quantity).await.unwrap();
            said.push((is_had, reading.expect("every meter is read").left()));
        }
        assert_eq!(said, [(true, Limit::Finite(3)), (true, Limit::Finite(3)), (false, Limit::Finite(3))]);
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 97);
    }

    async fn a_key_that_is_called_new_and_is_not_counts_nothing_and_refuses_nobody_else(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 1, "taken").await;
        let answers = at_once(20, |n| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move {
                let key = if n == 7 { "taken".to_owned() } else { format!("new {n}") };
                let wanted = Use { is_new_key: true, ..Use::new(API_CALLS, 1, &key) };
                (n, tollgate.record_use(&account, wanted).await)
            }
        })
        .await;
        for (n, answer) in &answers {
            assert_eq!(matches!(answer, Ok(Recorded::Counted(_))), *n != 7, "{n}: {answer:?}");
        }
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 20);
    }

    /// Three nodes, each with connections and a group of its own, and two hundred calls at once.
    async fn of_two_hundred_on_three_nodes_who_ask_for_the_last_call_one_gets_it(store) {
        let account = store.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let others = [store.another_node().await, store.another_node().await];
        let nodes = [store.tollgate(&clock), crate::engines::tollgate(others[0].clone(), &clock), crate::engines::tollgate(others[1].clone(), &clock)];
        assert!(matches!(record(&nodes[0], &account, 99, "first").await, Recorded::Counted(_)));
        let answers = at_once(200, |n| {
            let (tollgate, account) = (nodes[n % 3].clone(), account.clone());
            async move { record(&tollgate, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count(), 1);
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Denied(_))).count(), 199);
        assert_eq!(used(&nodes[2], &account, API_CALLS).await, 100);
        for other in others {
            other.close().await;
        }
    }

    async fn one_key_on_three_nodes_counts_once(store) {
        let account = store.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let others = [store.another_node().await, store.another_node().await];
        let nodes = [store.tollgate(&clock), crate::engines::tollgate(others[0].clone(), &clock), crate::engines::tollgate(others[1].clone(), &clock)];
        let answers = at_once(30, |n| {
            let (tollgate, account) = (nodes[n % 3].clone(), account.clone());
            async move { record(&tollgate, &account, 5, "key").await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count(), 1);
        assert_eq!(used(&nodes[0], &account, API_CALLS).await, 5);
        for other in others {
            other.close().await;
        }
    }

    /// The same key for two meters at once: one of them is counted, and whoever else is beside it too.
    async fn a_key_for_two_meters_at_once_counts_for_one(store) {
        let account = store.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let other = store.another_node().await;
        let nodes = [store.tollgate(&clock), crate::engines::tollgate(other.clone(), &clock)];
        for round in 0..10 {
            let answers = at_once(2, |n| {
                let (tollgate, account) = (nodes[n].clone(), account.clone());
                let meter = [API_CALLS, AI_GENERATIONS][n];
                async move { tollgate.record_usage(&account, meter, 1, &format!("key {round}")).await }
            })
            .await;
            let counted = answers.iter().filter(|answer| matches!(answer, Ok(Recorded::Counted(_)))).count();
            let refused = answers.iter().filter(|answer| matches!(answer, Err(UsageError::KeyReused))).count();
            assert_eq!((counted, refused), (1, 1), "{answers:?}");
        }
        other.close().await;
    }

    async fn many_accounts_are_counted_each_by_itself(store) {
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let mut accounts = Vec::new();
        for n in 0..40 {
            accounts.push(store.account(&format!("user{n}@example.com")).await);
        }
        let answers = at_once(400, |n| {
            let (tollgate, account) = (tollgate.clone(), accounts[n % 40].clone());
            async move { record(&tollgate, &account, 11, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count(), 40 * 9);
        for account in &accounts {
            assert_eq!(used(&tollgate, account, API_CALLS).await, 99);
        }
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
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 100);
    }

    async fn fifty_calls_at_once_under_the_limit_all_count(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let answers = at_once(50, |n| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { record(&tollgate, &account, 2, &format!("key {n}")).await }
        })
        .await;
        assert!(answers.iter().all(|answer| matches!(answer, Recorded::Counted(_))));
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 100);
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
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 5);
    }

    async fn a_key_used_for_something_else_is_refused(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 5, "key").await;
        let other_quantity = tollgate.record_usage(&account, API_CALLS, 6, "key").await;
        assert!(matches!(other_quantity, Err(UsageError::KeyReused)), "{other_quantity:?}");
        let other_meter = tollgate.record_usage(&account, AI_GENERATIONS, 5, "key").await;
        assert!(matches!(other_meter, Err(UsageError::KeyReused)), "{other_meter:?}");
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 5);
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
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 100);
    }

    async fn more_than_the_whole_limit_is_refused_on_an_empty_counter(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        assert!(matches!(record(&tollgate, &account, 101, "key").await, Recorded::Denied(_)));
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 0);
    }

    async fn a_quantity_that_cannot_be_counted_is_an_error(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        for quantity in [0, u64::MAX, i64::MAX as u64 + 1] {
            let refused = tollgate.record_usage(&account, API_CALLS, quantity, "key").await;
            assert!(matches!(refused, Err(UsageError::Quantity)), "{quantity}: {refused:?}");
        }
    }

    async fn unlimited_is_counted_and_never_denied(store) {
        let account = subscriber(&store, "tollgate_enterprise_month").await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let Recorded::Counted(reading) = record(&tollgate, &account, 1_000_000, "key").await else { panic!("denied") };
        assert_eq!((reading.used, reading.limit), (1_000_000, Limit::Unlimited));
        assert!(matches!(record(&tollgate, &account, 1_000_000, "another").await, Recorded::Counted(_)));
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 2_000_000);
    }

    async fn a_counter_that_is_full_denies_instead_of_failing(store) {
        let account = subscriber(&store, "tollgate_enterprise_month").await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        assert!(matches!(record(&tollgate, &account, i64::MAX as u64, "all").await, Recorded::Counted(_)));
        assert!(matches!(record(&tollgate, &account, 1, "one more").await, Recorded::Denied(_)));
        assert_eq!(used(&tollgate, &account, API_CALLS).await, i64::MAX as u64);
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
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 1);
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
        assert_eq!(used(&nodes[0], &account, API_CALLS).await, 100);
        other.close().await;
    }

    async fn a_request_with_another_fingerprint_is_another_request(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let wanted = |fingerprint| Use { fingerprint, ..Use::new(API_CALLS, 1, "key") };
        assert!(matches!(tollgate.record_use(&account, wanted("one")).await, Ok(Recorded::Counted(_))));
        assert!(matches!(tollgate.record_use(&account, wanted("one")).await, Ok(Recorded::Repeated(_))));
        assert!(matches!(tollgate.record_use(&account, wanted("two")).await, Err(UsageError::KeyReused)));
    }

    async fn credits_are_used_after_what_is_included_and_last_into_the_next_window(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        grant(&store, &account, "pi_1", 50).await;
        let Recorded::Counted(reading) = record(&tollgate, &account, 120, "first").await else { panic!("denied") };
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 20, 30));
        assert_eq!(reading.left(), Limit::Finite(30));
        assert!(matches!(record(&tollgate, &account, 31, "too many").await, Recorded::Denied(_)), "refused whole");

        clock.set(Timestamp(1_780_272_000));
        let Recorded::Counted(reading) = record(&tollgate, &account, 100, "june").await else { panic!("denied") };
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 0, 30), "still there");
        let Recorded::Counted(reading) = record(&tollgate, &account, 30, "rest").await else { panic!("denied") };
        assert_eq!((reading.from_credits, reading.credits), (30, 0));
        assert!(matches!(record(&tollgate, &account, 1, "none").await, Recorded::Denied(_)));
    }

    async fn a_refund_of_used_credits_leaves_less_than_nothing(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        grant(&store, &account, "pi_1", 50).await;
        assert!(matches!(record(&tollgate, &account, 140, "first").await, Recorded::Counted(_)));
        grant(&store, &account, "pi_1", 0).await;
        let Recorded::Denied(reading) = record(&tollgate, &account, 1, "after").await else { panic!("not denied") };
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 40, -40), "what was counted stays");
        grant(&store, &account, "pi_2", 40).await;
        assert!(matches!(record(&tollgate, &account, 1, "after").await, Recorded::Denied(_)), "zero is not one");
        grant(&store, &account, "pi_3", 1).await;
        assert!(matches!(record(&tollgate, &account, 1, "after").await, Recorded::Counted(_)));
    }

    async fn of_the_last_credits_no_more_than_there_are_are_used_on_two_nodes(store) {
        let account = store.account("ada@example.com").await;
        let other = store.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [store.tollgate(&clock), crate::engines::tollgate(other.clone(), &clock)];
        grant(&store, &account, "pi_1", 25).await;
        assert!(matches!(record(&nodes[0], &account, 95, "first").await, Recorded::Counted(_)));
        let answers = at_once(60, |n| {
            let (tollgate, account) = (nodes[n % 2].clone(), account.clone());
            async move { record(&tollgate, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Recorded::Counted(_))).count(), 30);
        let readings = nodes[1].usage(&account).await.unwrap();
        let reading = readings.iter().find(|reading| reading.meter == API_CALLS).unwrap();
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 25, 0));
        other.close().await;
    }

    async fn an_upgrade_in_mid_window_goes_on_counting_and_a_downgrade_too(store) {
        let account = subscriber(&store, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW.plus_days(5));
        let tollgate = store.tollgate(&clock);
        record(&tollgate, &account, 9_000, "pro").await;
        write(&store, &tollgate, &account, 1, "tollgate_enterprise_month", NOW).await;
        let Recorded::Counted(reading) = record(&tollgate, &account, 5_000, "enterprise").await else { panic!("denied") };
        assert_eq!((reading.used, reading.limit), (14_000, Limit::Unlimited));
        write(&store, &tollgate, &account, 2, "tollgate_pro_month", NOW).await;
        let Recorded::Denied(reading) = record(&tollgate, &account, 1, "pro again").await else { panic!("passed") };
        assert_eq!((reading.used, reading.limit), (14_000, Limit::Finite(10_000)));
    }

    /// Monthly to yearly and back moves the anchor each time: a new window, but no new allowance.
    async fn an_anchor_that_moves_gives_the_share_of_the_time_that_has_passed_and_no_more(store) {
        let account = subscriber(&store, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW);
        let tollgate = store.tollgate(&clock);
        assert!(matches!(record(&tollgate, &account, 10_000, "all").await, Recorded::Counted(_)));

        // Ten of the thirty-one days have passed.
        let cut = NOW.plus_days(10);
        clock.set(cut);
        write(&store, &tollgate, &account, 1, "tollgate_pro_year", cut).await;
        let carried = 10_000 - 100_000_u64.div_ceil(31);
        assert_eq!(used(&tollgate, &account, API_CALLS).await, carried, "before anything is counted, too");
        let Recorded::Counted(reading) = record(&tollgate, &account, 1, "one").await else { panic!("denied") };
        assert_eq!((reading.window.start, reading.used), (cut, carried + 1));
        let left = 10_000 - carried - 1;
        assert!(matches!(record(&tollgate, &account, left + 1, "more").await, Recorded::Denied(_)));
        assert!(matches!(record(&tollgate, &account, left, "rest").await, Recorded::Counted(_)));

        // Back at once: no time has passed, nothing is to be had.
        clock.set(cut.plus_seconds(1));
        write(&store, &tollgate, &account, 2, "tollgate_pro_month", cut.plus_seconds(1)).await;
        assert!(matches!(record(&tollgate, &account, 2, "again").await, Recorded::Denied(_)));
    }

    async fn the_free_plan_and_a_subscription_count_apart(store) {
        let clock = Clock::manual(NOW);
        let account = store.account("ada@example.com").await;
        let tollgate = store.tollgate(&clock);
        record(&tollgate, &account, 100, "free").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        tollgate.access().forget(&account).await;
        let Recorded::Counted(reading) = record(&tollgate, &account, 10_000, "all of Pro").await else { panic!("denied") };
        assert_eq!(reading.used, 10_000, "nothing of what was included is lost");

        let mut ended = pro("sub_1", &customer);
        ended.status = billing::Status::Canceled;
        assert!(store.write(&account, &ended, Some(1)).await);
        tollgate.access().forget(&account).await;
        let Recorded::Denied(reading) = record(&tollgate, &account, 1, "free again").await else { panic!("passed") };
        assert_eq!((reading.used, reading.limit), (100, Limit::Finite(100)), "where it was left");
    }

    async fn use_is_counted_by_day_and_by_key(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        for (day, source) in [(0, Some("key_a")), (0, Some("key_b")), (0, None), (1, Some("key_a")), (1, Some("key_a"))] {
            clock.set(NOW.plus_days(day));
            let key = ids::new_id();
            let wanted = Use { source, ..Use::new(API_CALLS, 2, &key) };
            assert!(matches!(tollgate.record_use(&account, wanted).await, Ok(Recorded::Counted(_))));
        }
        let midnight = NOW.0 - NOW.0 % 86_400;
        let days = rows::days(&store.db, &account, Timestamp(midnight), NOW.plus_days(5)).await.unwrap();
        let days: Vec<_> = days.iter().map(|row| ((row.day - midnight) / 86_400, row.source.as_str(), row.used)).collect();
        assert_eq!(days, [(0, "", 2), (0, "key_a", 2), (0, "key_b", 2), (1, "key_a", 4)]);
    }

    async fn history_is_pruned_by_policy_and_nothing_that_counts_changes(store) {
        let clock = Clock::manual(NOW);
        let account = store.account("ada@example.com").await;
        let tollgate = tollgate_with(store.db.clone(), &clock, &|name| (name == "USAGE_HISTORY_DAYS").then(|| "20".to_owned()));
        for n in 0..90 {
            record(&tollgate, &account, 1, &format!("old {n}")).await;
        }
        clock.set(NOW.plus_days(10));
        record(&tollgate, &account, 5, "new").await;
        clock.set(NOW.plus_days(20));
        assert_eq!(sweeper::prune(&tollgate).await.unwrap(), 0, "twenty days are kept");
        clock.set(NOW.plus_days(20).plus_seconds(1));
        assert_eq!(sweeper::prune(&tollgate).await.unwrap(), 90);
        assert_eq!(sweeper::prune(&tollgate).await.unwrap(), 0);
        let days = rows::days(&store.db, &account, NOW.plus_days(-1), NOW.plus_days(30)).await.unwrap();
        assert_eq!(days.iter().map(|row| row.used).sum::<i64>(), 95);
        clock.set(NOW.plus_days(29));
        assert_eq!(used(&tollgate, &account, API_CALLS).await, 95);
        assert!(matches!(record(&tollgate, &account, 6, "more").await, Recorded::Denied(_)), "the counter is not asked to sum");
        assert!(matches!(record(&tollgate, &account, 5, "new").await, Recorded::Repeated(_)), "a key that is kept is known");
    }
}

/// Says what a purchase grants of calls.
async fn grant(store: &Store, account: &AccountId, source: &str, units: i64) {
    let mut tx = store.db.begin().await.unwrap();
    server::usage::credits::set_granted(&mut tx, account, API_CALLS, source, units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

/// Changes the subscription's price and anchor, as a plan change at Stripe does.
async fn write(
    store: &Store,
    tollgate: &Tollgate,
    account: &AccountId,
    version: i64,
    lookup_key: &str,
    anchor: Timestamp,
) {
    let mut subscription = pro("sub_1", &billing::CustomerId::new("cus_ada"));
    subscription.items[0].lookup_key = Some(lookup_key.to_owned());
    subscription.billing_cycle_anchor = anchor;
    assert!(store.write(account, &subscription, Some(version)).await);
    tollgate.access().forget(account).await;
}
