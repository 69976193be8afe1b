//! Work that can fail reserves its units, and a reservation ends once: committed or released.

use billing::{AccountId, Limit};
use engine::Core;
use engine::clock::Clock;
use engine::metering::{self, MeterReading, Recorded, Reservation, Reserved, UsageError, UsageEvent, credits};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{API_CALLS, EXPORTS, JUNE, NOW, core};

const HOLD: i64 = 60;

async fn reserve(core: &Core, account: &AccountId, quantity: u64, key: &str) -> Reserved {
    metering::reserve(core, account, UsageEvent::new(EXPORTS, quantity, key), HOLD).await.unwrap()
}

async fn held(core: &Core, account: &AccountId, quantity: u64, key: &str) -> Reservation {
    match reserve(core, account, quantity, key).await {
        Reserved::Held(reservation, _) => reservation,
        other => panic!("not held: {other:?}"),
    }
}

async fn reading(core: &Core, account: &AccountId) -> MeterReading {
    let readings = metering::read(core, account).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == EXPORTS).unwrap()
}

/// Used, reserved and left, of the ten units that the free plan includes.
async fn state(core: &Core, account: &AccountId) -> (u64, u64, Limit) {
    let reading = reading(core, account).await;
    (reading.used, reading.reserved, reading.left())
}

async fn grant(database: &TestDatabase, account: &AccountId, units: i64) {
    let mut tx = database.db.begin().await.unwrap();
    credits::set_granted(&mut tx, account, EXPORTS, "pi_1", units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

on_both_databases! {
    async fn reserved_units_are_unavailable_and_count_as_used_once_committed(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let reservation = held(&core, &account, 4, "key").await;
        assert_eq!(state(&core, &account).await, (0, 4, Limit::Finite(6)));
        assert!(matches!(reserve(&core, &account, 7, "more").await, Reserved::Denied(_)));
        let committed =
            metering::commit(&core, &reservation, Some(r#"{"promptLength":3}"#.to_owned()), None).await.unwrap();
        assert_eq!(committed.map(|reading| (reading.used, reading.reserved)), Some((4, 0)));
        assert_eq!(state(&core, &account).await, (4, 0, Limit::Finite(6)));
        let record = "SELECT idempotency_key || ' ' || state || ' ' || quantity || ' ' || metadata FROM usage_record";
        assert_eq!(database.texts(record).await, [Some(r#"key counted 4 {"promptLength":3}"#.to_owned())]);
    }

    async fn released_units_and_their_key_are_available_again(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let reservation = held(&core, &account, 10, "key").await;
        assert!(metering::release(&core, &reservation).await.unwrap().is_some());
        assert_eq!(state(&core, &account).await, (0, 0, Limit::Finite(10)));
        held(&core, &account, 3, "key").await;
    }

    async fn concurrent_commits_and_releases_end_a_reservation_once(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        for round in 0..10 {
            let reservation = held(&core, &account, 1, &format!("key {round}")).await;
            let ended = concurrently(8, |n| {
                let (core, reservation) = (core.clone(), reservation.clone());
                async move {
                    let ended = if n % 2 == 0 {
                        metering::commit(&core, &reservation, None, None).await
                    } else {
                        metering::release(&core, &reservation).await
                    };
                    ended.unwrap().is_some()
                }
            })
            .await;
            assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
            assert_eq!(reading(&core, &account).await.reserved, 0);
        }
    }

    async fn the_same_work_is_not_started_twice(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        let begun = concurrently(10, |_| {
            let (core, account) = (core.clone(), account.clone());
            async move { reserve(&core, &account, 1, "key").await }
        })
        .await;
        let mut begun: Vec<_> = begun
            .into_iter()
            .filter_map(|reserved| match reserved {
                Reserved::Held(reservation, _) => Some(reservation),
                Reserved::InProgress(_) => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(begun.len(), 1);
        metering::commit(&core, &begun.remove(0), None, Some("a response".to_owned())).await.unwrap();
        assert!(matches!(reserve(&core, &account, 1, "key").await, Reserved::Repeated(_)));
        assert_eq!(metering::kept_response(&core, &account, "key").await.unwrap().as_deref(), Some("a response"));
        assert_eq!(state(&core, &account).await, (1, 0, Limit::Finite(9)));
    }

    async fn the_key_of_other_work_is_rejected(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        held(&core, &account, 1, "key").await;
        let other = |wanted| metering::reserve(&core, &account, wanted, HOLD);
        assert!(matches!(other(UsageEvent::new(EXPORTS, 2, "key")).await, Err(UsageError::KeyReused)));
        assert!(matches!(other(UsageEvent::new(API_CALLS, 1, "key")).await, Err(UsageError::KeyReused)));
        let fingerprint = UsageEvent { fingerprint: "another", ..UsageEvent::new(EXPORTS, 1, "key") };
        assert!(matches!(other(fingerprint).await, Err(UsageError::KeyReused)));
        let recorded = metering::record(&core, &account, UsageEvent::new(EXPORTS, 1, "key")).await;
        assert!(matches!(recorded, Err(UsageError::KeyReused)), "recording is not reserving");
    }

    /// The node that reserved them has crashed.
    async fn a_crash_between_reserve_and_commit_releases_the_units_at_expiry(database) {
        let clock = Clock::manual(NOW);
        let account = database.account("ada@example.com").await;
        let crashed = core(database.another_node().await, &clock);
        let reservation = held(&crashed, &account, 10, "key").await;
        crashed.db().close().await;
        drop(crashed);

        let survivor = database.core(&clock);
        clock.set(NOW.plus_seconds(HOLD - 1));
        assert!(matches!(reserve(&survivor, &account, 1, "other").await, Reserved::Denied(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let next = held(&survivor, &account, 10, "other").await;
        assert!(metering::commit(&survivor, &reservation, None, None).await.unwrap().is_none(), "it had expired");
        assert!(metering::commit(&survivor, &next, None, None).await.unwrap().is_some());
        assert_eq!(state(&survivor, &account).await, (10, 0, Limit::Finite(0)));
    }

    async fn the_sweeper_releases_expired_reservations(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        for key in ["a", "b", "c"] {
            held(&core, &account, 2, key).await;
        }
        let kept = held(&core, &account, 1, "kept").await;
        metering::commit(&core, &kept, None, None).await.unwrap();
        assert_eq!(metering::release_expired(&core).await.unwrap(), 0);
        clock.set(NOW.plus_seconds(HOLD));
        assert_eq!(metering::release_expired(&core).await.unwrap(), 3);
        assert_eq!(metering::release_expired(&core).await.unwrap(), 0);
        assert_eq!(state(&core, &account).await, (1, 0, Limit::Finite(9)));
        held(&core, &account, 2, "a").await;
    }

    async fn reservations_that_cannot_be_read_do_not_keep_others_from_being_released(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        for key in ["a", "b", "c"] {
            held(&core, &account, 2, key).await;
        }
        database.execute("UPDATE usage_record SET reservation_id = NULL WHERE idempotency_key = 'b'").await;
        // More than are released at a time, and older.
        let many = "INSERT INTO usage_record (account_id, idempotency_key, meter, quantity, recorded_at, state, \
            window_start, from_credits, overage, fingerprint, source, expires_at) \
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) \
            SELECT 'unknown', 'key ' || i, 'exports', 1, 0, 'held', 0, 0, 0, '', '', 1 FROM n";
        database.execute(many).await;
        clock.set(NOW.plus_seconds(HOLD));
        assert_eq!(metering::release_expired(&core).await.unwrap(), 2);
        assert_eq!(state(&core, &account).await, (0, 2, Limit::Finite(8)));
    }

    async fn two_sweepers_release_a_reservation_once(database) {
        let clock = Clock::manual(NOW);
        let account = database.account("ada@example.com").await;
        let other = database.another_node().await;
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        for n in 0..8 {
            held(&nodes[0], &account, 1, &format!("key {n}")).await;
        }
        clock.set(NOW.plus_seconds(HOLD));
        concurrently(2, |n| {
            let core = nodes[n].clone();
            async move { metering::release_expired(&core).await.unwrap() }
        })
        .await;
        assert_eq!(state(&nodes[0], &account).await, (0, 0, Limit::Finite(10)));
        other.close().await;
    }

    /// The key is free at expiry, even if the units are not needed.
    async fn abandoned_work_can_be_restarted_under_its_key(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        let abandoned = held(&core, &account, 1, "key").await;
        assert!(matches!(reserve(&core, &account, 1, "key").await, Reserved::InProgress(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let again = held(&core, &account, 1, "key").await;
        assert!(
            metering::commit(&core, &abandoned, None, None).await.unwrap().is_none(),
            "the reservation that expired does not end the new one"
        );
        assert!(metering::commit(&core, &again, None, None).await.unwrap().is_some());
        assert_eq!(state(&core, &account).await, (1, 0, Limit::Finite(9)));
    }

    async fn held_credits_are_released(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        grant(&database, &account, 5).await;
        let reservation = held(&core, &account, 13, "key").await;
        let now = reading(&core, &account).await;
        assert_eq!((now.used, now.reserved, now.credits, now.left()), (0, 10, 2, Limit::Finite(2)));
        metering::release(&core, &reservation).await.unwrap();
        let now = reading(&core, &account).await;
        assert_eq!((now.reserved, now.credits, now.left()), (0, 5, Limit::Finite(15)));

        held(&core, &account, 15, "abandoned").await;
        assert!(matches!(reserve(&core, &account, 1, "other").await, Reserved::Denied(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let reservation = held(&core, &account, 12, "other").await;
        let now = metering::commit(&core, &reservation, None, None).await.unwrap().unwrap();
        assert_eq!((now.used, now.reserved, now.from_credits, now.credits), (10, 0, 2, 3));
    }

    async fn work_that_ends_in_the_next_window_counts_in_the_window_of_its_reservation(database) {
        let clock = Clock::manual(JUNE.plus_seconds(-1));
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        let reservation = held(&core, &account, 10, "key").await;
        clock.set(JUNE);
        assert_eq!(state(&core, &account).await, (0, 0, Limit::Finite(10)));
        let committed = metering::commit(&core, &reservation, None, None).await.unwrap().unwrap();
        assert_eq!((committed.used, committed.window.end), (10, JUNE));
        assert_eq!(state(&core, &account).await, (0, 0, Limit::Finite(10)));
    }

    async fn mixed_requests_on_two_nodes_never_exceed_the_limit(database) {
        let account = database.account("ada@example.com").await;
        let other = database.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        grant(&database, &account, 7).await;
        let used = concurrently(80, |n| {
            let (core, account) = (nodes[n % 2].clone(), account.clone());
            async move {
                let key = format!("key {n}");
                if n % 4 == 3 {
                    let recorded = metering::record(&core, &account, UsageEvent::new(EXPORTS, 1, &key)).await.unwrap();
                    return u64::from(matches!(recorded, Recorded::Counted(_)));
                }
                match reserve(&core, &account, 1 + n as u64 % 3, &key).await {
                    Reserved::Held(reservation, _) if n % 3 == 0 => {
                        assert!(metering::release(&core, &reservation).await.unwrap().is_some());
                        0
                    }
                    Reserved::Held(reservation, _) => {
                        assert!(metering::commit(&core, &reservation, None, None).await.unwrap().is_some());
                        1 + n as u64 % 3
                    }
                    Reserved::Denied(_) => 0,
                    other => panic!("{other:?}"),
                }
            }
        })
        .await
        .into_iter()
        .sum::<u64>();
        let now = reading(&nodes[1], &account).await;
        assert_eq!((now.reserved, now.used + now.from_credits + now.overage), (0, used));
        assert!(now.used <= 10 && now.credits == 7 - i64::try_from(now.from_credits).unwrap(), "{now:?}");
        other.close().await;
    }
}
