//! Usage is counted exactly, once per key, and never past the limit.

use std::sync::Arc;
use std::time::Duration;

use billing::{AccountId, Limit, Meter, Timestamp};
use engine::clock::Clock;
use engine::metering::{self, Recorded, UsageError, UsageEvent, credits};
use engine::settings::Retention;
use engine::store::usage as rows;
use engine::store::values;
use engine::tasks::sweeper;
use engine::{Core, ids};
use tokio_util::sync::CancellationToken;

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{API_CALLS, EXPORTS, JUNE, NOW, core, core_with, pro};

/// The units used of a meter in the current window.
async fn used(core: &Core, account: &AccountId, meter: Meter) -> u64 {
    let readings = metering::read(core, account).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == meter).expect("every meter is read").used
}

async fn record(core: &Core, account: &AccountId, quantity: u64, key: &str) -> Recorded {
    metering::record(core, account, UsageEvent::new(API_CALLS, quantity, key)).await.unwrap()
}

/// A subscriber on the plan with this lookup key.
async fn subscriber(database: &TestDatabase, lookup_key: &str) -> AccountId {
    let account = database.account("ada@example.com").await;
    let customer = database.customer(&account, "cus_ada").await;
    let mut subscription = pro("sub_1", &customer);
    subscription.items[0].lookup_key = Some(lookup_key.to_owned());
    assert!(database.write(&account, &subscription, None).await);
    account
}

on_both_databases! {
    async fn a_usage_event_is_counted_and_read_back(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let Recorded::Counted(reading) = record(&core, &account, 3, "key").await else { panic!("not counted") };
        assert_eq!((reading.meter, reading.used, reading.limit), (API_CALLS, 3, Limit::Finite(100)));
        assert!(reading.window.start <= NOW && NOW < reading.window.end);
        assert_eq!(used(&core, &account, API_CALLS).await, 3);
        assert_eq!(used(&core, &account, EXPORTS).await, 0, "each meter separately");
    }

    async fn checking_reports_availability_and_counts_nothing(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 97, "key").await;
        for (quantity, is_available) in [(1, true), (3, true), (4, false)] {
            let result = metering::check(&core, &account, API_CALLS, quantity).await.unwrap();
            assert_eq!(result, is_available, "{quantity}");
        }
        assert!(!metering::check(&core, &account, Meter::new("unknown"), 1).await.unwrap());
        assert_eq!(used(&core, &account, API_CALLS).await, 97);
    }

    async fn a_key_wrongly_declared_new_counts_nothing_and_fails_no_other_request(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 1, "taken").await;
        let results = concurrently(20, |n| {
            let (core, account) = (core.clone(), account.clone());
            async move {
                let key = if n == 7 { "taken".to_owned() } else { format!("new {n}") };
                let wanted = UsageEvent { is_new_key: true, ..UsageEvent::new(API_CALLS, 1, &key) };
                (n, metering::record(&core, &account, wanted).await)
            }
        })
        .await;
        for (n, result) in &results {
            assert_eq!(matches!(result, Ok(Recorded::Counted(_))), *n != 7, "{n}: {result:?}");
        }
        assert_eq!(used(&core, &account, API_CALLS).await, 20);
    }

    /// Each node has its own connections and queue.
    async fn only_one_of_two_hundred_requests_on_three_nodes_gets_the_last_unit(database) {
        let account = database.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let others = [database.another_node().await, database.another_node().await];
        let nodes = [database.core(&clock), core(others[0].clone(), &clock), core(others[1].clone(), &clock)];
        assert!(matches!(record(&nodes[0], &account, 99, "first").await, Recorded::Counted(_)));
        let results = concurrently(200, |n| {
            let (core, account) = (nodes[n % 3].clone(), account.clone());
            async move { record(&core, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count(), 1);
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Denied(_))).count(), 199);
        assert_eq!(used(&nodes[2], &account, API_CALLS).await, 100);
        for other in others {
            other.close().await;
        }
    }

    async fn one_key_on_three_nodes_counts_once(database) {
        let account = database.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let others = [database.another_node().await, database.another_node().await];
        let nodes = [database.core(&clock), core(others[0].clone(), &clock), core(others[1].clone(), &clock)];
        let results = concurrently(30, |n| {
            let (core, account) = (nodes[n % 3].clone(), account.clone());
            async move { record(&core, &account, 5, "key").await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count(), 1);
        assert_eq!(used(&nodes[0], &account, API_CALLS).await, 5);
        for other in others {
            other.close().await;
        }
    }

    async fn a_key_used_concurrently_for_two_meters_counts_for_one(database) {
        let account = database.account("ada@example.com").await;
        let clock = Clock::manual(NOW);
        let other = database.another_node().await;
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        for round in 0..10 {
            let results =
                concurrently(2, |n| {
                    let (core, account) = (nodes[n].clone(), account.clone());
                    let meter = [API_CALLS, EXPORTS][n];
                    async move {
                        metering::record(&core, &account, UsageEvent::new(meter, 1, &format!("key {round}"))).await
                    }
                })
                .await;
            let counted = results.iter().filter(|result| matches!(result, Ok(Recorded::Counted(_)))).count();
            let rejected = results.iter().filter(|result| matches!(result, Err(UsageError::KeyReused))).count();
            assert_eq!((counted, rejected), (1, 1), "{results:?}");
        }
        other.close().await;
    }

    async fn each_of_many_accounts_is_counted_separately(database) {
        let core = database.core(&Clock::manual(NOW));
        let mut accounts = Vec::new();
        for n in 0..40 {
            accounts.push(database.account(&format!("user{n}@example.com")).await);
        }
        let results = concurrently(400, |n| {
            let (core, account) = (core.clone(), accounts[n % 40].clone());
            async move { record(&core, &account, 11, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count(), 40 * 9);
        for account in &accounts {
            assert_eq!(used(&core, account, API_CALLS).await, 99);
        }
    }

    async fn only_one_of_fifty_concurrent_requests_gets_the_last_unit(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        assert!(matches!(record(&core, &account, 99, "first").await, Recorded::Counted(_)));
        let results = concurrently(50, |n| {
            let (core, account) = (core.clone(), account.clone());
            async move { record(&core, &account, 1, &format!("key {n}")).await }
        })
        .await;
        let counted = results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count();
        assert_eq!(counted, 1);
        for result in &results {
            let (Recorded::Counted(reading) | Recorded::Denied(reading)) = result else { panic!("{result:?}") };
            assert_eq!(reading.used, 100);
        }
        assert_eq!(used(&core, &account, API_CALLS).await, 100);
    }

    async fn fifty_concurrent_requests_below_the_limit_all_count(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let results = concurrently(50, |n| {
            let (core, account) = (core.clone(), account.clone());
            async move { record(&core, &account, 2, &format!("key {n}")).await }
        })
        .await;
        assert!(results.iter().all(|result| matches!(result, Recorded::Counted(_))));
        assert_eq!(used(&core, &account, API_CALLS).await, 100);
    }

    async fn one_key_sent_twenty_times_concurrently_counts_once(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let results = concurrently(20, |_| {
            let (core, account) = (core.clone(), account.clone());
            async move { record(&core, &account, 5, "key").await }
        })
        .await;
        let count = |wanted: fn(&Recorded) -> bool| results.iter().filter(|result| wanted(result)).count();
        assert_eq!(count(|result| matches!(result, Recorded::Counted(_))), 1);
        assert_eq!(count(|result| matches!(result, Recorded::Repeated(_))), 19);
        assert_eq!(used(&core, &account, API_CALLS).await, 5);
    }

    async fn a_key_used_for_another_request_is_rejected(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 5, "key").await;
        let other_quantity = metering::record(&core, &account, UsageEvent::new(API_CALLS, 6, "key")).await;
        assert!(matches!(other_quantity, Err(UsageError::KeyReused)), "{other_quantity:?}");
        let other_meter = metering::record(&core, &account, UsageEvent::new(EXPORTS, 5, "key")).await;
        assert!(matches!(other_meter, Err(UsageError::KeyReused)), "{other_meter:?}");
        assert_eq!(used(&core, &account, API_CALLS).await, 5);
    }

    async fn two_accounts_may_use_the_same_key(database) {
        let core = database.core(&Clock::manual(NOW));
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        assert!(matches!(record(&core, &ada, 1, "key").await, Recorded::Counted(_)));
        assert!(matches!(record(&core, &eve, 2, "key").await, Recorded::Counted(_)));
    }

    async fn a_quantity_beyond_what_is_left_is_denied_as_a_whole(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 95, "first").await;
        let Recorded::Denied(reading) = record(&core, &account, 6, "key").await else { panic!("beyond the limit") };
        assert_eq!((reading.used, reading.limit), (95, Limit::Finite(100)));
        assert!(matches!(record(&core, &account, 5, "key").await, Recorded::Counted(_)), "a denied key is still free");
        assert!(matches!(record(&core, &account, 101, "more").await, Recorded::Denied(_)));
        assert_eq!(used(&core, &account, API_CALLS).await, 100);
    }

    async fn a_quantity_beyond_the_limit_is_denied_on_an_empty_counter(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        assert!(matches!(record(&core, &account, 101, "key").await, Recorded::Denied(_)));
        assert_eq!(used(&core, &account, API_CALLS).await, 0);
    }

    async fn a_quantity_that_cannot_be_counted_is_an_error(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        for quantity in [0, u64::MAX, i64::MAX as u64 + 1] {
            let rejected = metering::record(&core, &account, UsageEvent::new(API_CALLS, quantity, "key")).await;
            assert!(matches!(rejected, Err(UsageError::Quantity)), "{quantity}: {rejected:?}");
        }
    }

    async fn unlimited_usage_is_counted_and_never_denied(database) {
        let account = subscriber(&database, "tollgate_enterprise_month").await;
        let core = database.core(&Clock::manual(NOW));
        let Recorded::Counted(reading) = record(&core, &account, 1_000_000, "key").await else { panic!("denied") };
        assert_eq!((reading.used, reading.limit), (1_000_000, Limit::Unlimited));
        assert!(matches!(record(&core, &account, 1_000_000, "another").await, Recorded::Counted(_)));
        assert_eq!(used(&core, &account, API_CALLS).await, 2_000_000);
    }

    async fn a_counter_at_its_maximum_denies_instead_of_failing(database) {
        let account = subscriber(&database, "tollgate_enterprise_month").await;
        let core = database.core(&Clock::manual(NOW));
        assert!(matches!(record(&core, &account, i64::MAX as u64, "all").await, Recorded::Counted(_)));
        assert!(matches!(record(&core, &account, 1, "one more").await, Recorded::Denied(_)));
        assert_eq!(used(&core, &account, API_CALLS).await, i64::MAX as u64);
    }

    async fn usage_on_the_free_plan_resets_with_the_calendar_month_in_utc(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        clock.set(JUNE.plus_seconds(-1));
        record(&core, &account, 100, "may").await;
        assert!(matches!(record(&core, &account, 1, "late").await, Recorded::Denied(_)));

        clock.set(JUNE);
        let Recorded::Counted(reading) = record(&core, &account, 1, "late").await else { panic!("denied") };
        assert_eq!((reading.used, reading.window.start), (1, JUNE));
        assert!(
            matches!(record(&core, &account, 100, "may").await, Recorded::Repeated(_)),
            "a key outlives its window"
        );
        assert_eq!(used(&core, &account, API_CALLS).await, 1);
    }

    async fn usage_on_a_paid_plan_resets_with_the_billing_anchor(database) {
        let account = subscriber(&database, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        let Recorded::Counted(reading) = record(&core, &account, 10_000, "all").await else { panic!("denied") };
        assert_eq!((reading.limit, reading.window.start), (Limit::Finite(10_000), NOW));
        let renewal = reading.window.end;
        clock.set(renewal.plus_seconds(-1));
        assert!(matches!(record(&core, &account, 1, "early").await, Recorded::Denied(_)));
        clock.set(renewal);
        let Recorded::Counted(reading) = record(&core, &account, 1, "on time").await else { panic!("denied") };
        assert_eq!((reading.used, reading.window.start), (1, renewal));
    }

    async fn two_nodes_count_together(database) {
        let account = database.account("ada@example.com").await;
        let other = database.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        let results = concurrently(60, |n| {
            let (core, account) = (nodes[n % 2].clone(), account.clone());
            async move { record(&core, &account, 2, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count(), 50);
        assert_eq!(used(&nodes[0], &account, API_CALLS).await, 100);
        other.close().await;
    }

    async fn a_request_with_a_different_fingerprint_is_a_different_request(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let wanted = |fingerprint| UsageEvent { fingerprint, ..UsageEvent::new(API_CALLS, 1, "key") };
        assert!(matches!(metering::record(&core, &account, wanted("one")).await, Ok(Recorded::Counted(_))));
        assert!(matches!(metering::record(&core, &account, wanted("one")).await, Ok(Recorded::Repeated(_))));
        assert!(matches!(metering::record(&core, &account, wanted("two")).await, Err(UsageError::KeyReused)));
    }

    async fn credits_are_used_after_the_included_units_and_carry_over_to_the_next_window(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        grant(&database, &account, "pi_1", 50).await;
        let Recorded::Counted(reading) = record(&core, &account, 120, "first").await else { panic!("denied") };
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 20, 30));
        assert_eq!(reading.left(), Limit::Finite(30));
        assert!(matches!(record(&core, &account, 31, "too many").await, Recorded::Denied(_)), "denied as a whole");

        clock.set(JUNE);
        let Recorded::Counted(reading) = record(&core, &account, 100, "june").await else { panic!("denied") };
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 0, 30), "credits last");
        let Recorded::Counted(reading) = record(&core, &account, 30, "rest").await else { panic!("denied") };
        assert_eq!((reading.from_credits, reading.credits), (30, 0));
        assert!(matches!(record(&core, &account, 1, "none").await, Recorded::Denied(_)));
    }

    async fn a_refund_of_used_credits_makes_the_balance_negative(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        grant(&database, &account, "pi_1", 50).await;
        assert!(matches!(record(&core, &account, 140, "first").await, Recorded::Counted(_)));
        grant(&database, &account, "pi_1", 0).await;
        let Recorded::Denied(reading) = record(&core, &account, 1, "after").await else { panic!("not denied") };
        assert_eq!(
            (reading.used, reading.from_credits, reading.credits),
            (100, 40, -40),
            "what was counted stays counted"
        );
        grant(&database, &account, "pi_2", 40).await;
        assert!(matches!(record(&core, &account, 1, "after").await, Recorded::Denied(_)), "zero is not one");
        grant(&database, &account, "pi_3", 1).await;
        assert!(matches!(record(&core, &account, 1, "after").await, Recorded::Counted(_)));
    }

    async fn two_nodes_use_no_more_credits_than_there_are(database) {
        let account = database.account("ada@example.com").await;
        let other = database.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        grant(&database, &account, "pi_1", 25).await;
        assert!(matches!(record(&nodes[0], &account, 95, "first").await, Recorded::Counted(_)));
        let results = concurrently(60, |n| {
            let (core, account) = (nodes[n % 2].clone(), account.clone());
            async move { record(&core, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| matches!(result, Recorded::Counted(_))).count(), 30);
        let readings = metering::read(&nodes[1], &account).await.unwrap();
        let reading = readings.iter().find(|reading| reading.meter == API_CALLS).unwrap();
        assert_eq!((reading.used, reading.from_credits, reading.credits), (100, 25, 0));
        other.close().await;
    }

    async fn an_upgrade_or_downgrade_within_a_window_keeps_its_count(database) {
        let account = subscriber(&database, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW.plus_days(5));
        let core = database.core(&clock);
        record(&core, &account, 9_000, "pro").await;
        write(&database, &core, &account, 1, "tollgate_enterprise_month", NOW).await;
        let Recorded::Counted(reading) = record(&core, &account, 5_000, "enterprise").await else { panic!("denied") };
        assert_eq!((reading.used, reading.limit), (14_000, Limit::Unlimited));
        write(&database, &core, &account, 2, "tollgate_pro_month", NOW).await;
        let Recorded::Denied(reading) = record(&core, &account, 1, "pro again").await else { panic!("passed") };
        assert_eq!((reading.used, reading.limit), (14_000, Limit::Finite(10_000)));
    }

    /// Changing from monthly to yearly and back moves the anchor each time: a new window, but no new allowance.
    async fn a_moved_anchor_cuts_the_allowance_to_the_share_of_the_time_that_has_passed(database) {
        let account = subscriber(&database, "tollgate_pro_month").await;
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        assert!(matches!(record(&core, &account, 10_000, "all").await, Recorded::Counted(_)));

        // Ten of thirty-one days have passed.
        let cut = NOW.plus_days(10);
        clock.set(cut);
        write(&database, &core, &account, 1, "tollgate_pro_year", cut).await;
        let carried = 10_000 - 100_000_u64.div_ceil(31);
        assert_eq!(
            used(&core, &account, API_CALLS).await,
            carried,
            "also before anything is counted in the new window"
        );
        let Recorded::Counted(reading) = record(&core, &account, 1, "one").await else { panic!("denied") };
        assert_eq!((reading.window.start, reading.used), (cut, carried + 1));
        let left = 10_000 - carried - 1;
        assert!(matches!(record(&core, &account, left + 1, "more").await, Recorded::Denied(_)));
        assert!(matches!(record(&core, &account, left, "rest").await, Recorded::Counted(_)));

        // Back a second later: no time has passed, so nothing is available.
        clock.set(cut.plus_seconds(1));
        write(&database, &core, &account, 2, "tollgate_pro_month", cut.plus_seconds(1)).await;
        assert!(matches!(record(&core, &account, 2, "again").await, Recorded::Denied(_)));
    }

    async fn the_free_plan_and_a_subscription_are_counted_separately(database) {
        let clock = Clock::manual(NOW);
        let account = database.account("ada@example.com").await;
        let core = database.core(&clock);
        record(&core, &account, 100, "free").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);
        core.cache().invalidation().invalidate(account.as_str());
        let Recorded::Counted(reading) = record(&core, &account, 10_000, "all of Pro").await else { panic!("denied") };
        assert_eq!(reading.used, 10_000, "usage on the free plan takes nothing from it");

        let mut ended = pro("sub_1", &customer);
        ended.status = billing::Status::Canceled;
        assert!(database.write(&account, &ended, Some(1)).await);
        core.cache().invalidation().invalidate(account.as_str());
        let Recorded::Denied(reading) = record(&core, &account, 1, "free again").await else { panic!("passed") };
        assert_eq!((reading.used, reading.limit), (100, Limit::Finite(100)), "as it was before the subscription");
    }

    async fn usage_is_counted_by_day_and_by_source(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        for (day, source) in [(0, Some("key_a")), (0, Some("key_b")), (0, None), (1, Some("key_a")), (1, Some("key_a"))]
        {
            clock.set(NOW.plus_days(day));
            let key = ids::new_id();
            let wanted = UsageEvent { source, ..UsageEvent::new(API_CALLS, 2, &key) };
            assert!(matches!(metering::record(&core, &account, wanted).await, Ok(Recorded::Counted(_))));
        }
        let midnight = NOW.0 - NOW.0 % 86_400;
        let days = rows::days(&database.db, &account, Timestamp(midnight), NOW.plus_days(5)).await.unwrap();
        let days: Vec<_> =
            days.iter().map(|row| ((row.day - midnight) / 86_400, row.source.as_str(), row.used)).collect();
        assert_eq!(days, [(0, "", 2), (0, "key_a", 2), (0, "key_b", 2), (1, "key_a", 4)]);
    }

    async fn a_sweeper_that_waits_for_the_database_can_be_stopped(database) {
        let clock = Clock::manual(NOW);
        let account = database.account("ada@example.com").await;
        let core = Arc::new(database.core(&clock));
        record(&core, &account, 1, "old").await;
        clock.set(NOW.plus_days(200));
        let mut tx = database.db.begin().await.unwrap();
        tx.execute("UPDATE usage_record SET source = source", values![]).await.unwrap();
        let stop = CancellationToken::new();
        let sweeping = tokio::spawn(sweeper::run(Arc::clone(&core), stop.clone()));
        database.until_waiting(&sweeping).await;
        stop.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(60), sweeping).await;
        stopped.expect("it stops although it waits").unwrap();
        tx.commit().await.unwrap();
    }

    async fn old_records_are_pruned_and_counters_stay_correct(database) {
        let clock = Clock::manual(NOW);
        let account = database.account("ada@example.com").await;
        let core = core_with(database.db.clone(), &clock, Retention { usage_days: Some(20) });
        for n in 0..90 {
            record(&core, &account, 1, &format!("old {n}")).await;
        }
        clock.set(NOW.plus_days(10));
        record(&core, &account, 5, "new").await;
        clock.set(NOW.plus_days(20));
        assert_eq!(sweeper::prune(&core).await.unwrap(), 0, "records are kept for twenty days");
        clock.set(NOW.plus_days(20).plus_seconds(1));
        assert_eq!(sweeper::prune(&core).await.unwrap(), 90);
        assert_eq!(sweeper::prune(&core).await.unwrap(), 0);
        let days = rows::days(&database.db, &account, NOW.plus_days(-1), NOW.plus_days(30)).await.unwrap();
        assert_eq!(days.iter().map(|row| row.used).sum::<i64>(), 95);
        clock.set(NOW.plus_days(29));
        assert_eq!(used(&core, &account, API_CALLS).await, 95);
        assert!(
            matches!(record(&core, &account, 6, "more").await, Recorded::Denied(_)),
            "the counter does not depend on the records"
        );
        assert!(
            matches!(record(&core, &account, 5, "new").await, Recorded::Repeated(_)),
            "a key that is kept is known"
        );
    }
}

/// Sets a purchase's grant of API calls.
async fn grant(database: &TestDatabase, account: &AccountId, source: &str, units: i64) {
    let mut tx = database.db.begin().await.unwrap();
    credits::set_granted(&mut tx, account, API_CALLS, source, units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

/// Changes the subscription's price and anchor, as a plan change in Stripe does.
async fn write(
    database: &TestDatabase,
    core: &Core,
    account: &AccountId,
    version: i64,
    lookup_key: &str,
    anchor: Timestamp,
) {
    let mut subscription = pro("sub_1", &billing::CustomerId::new("cus_ada"));
    subscription.items[0].lookup_key = Some(lookup_key.to_owned());
    subscription.billing_cycle_anchor = anchor;
    assert!(database.write(account, &subscription, Some(version)).await);
    core.cache().invalidation().invalidate(account.as_str());
}
