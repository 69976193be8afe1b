//! Work that can fail holds its units, and each ends once: counted, or given back.

use billing::{AccountId, Limit};
use server::Tollgate;
use server::clock::Clock;
use server::product::{AI_GENERATIONS, API_CALLS};
use server::store::usage as rows;
use server::usage::{MeterReading, Recorded, Reservation, Reserved, UsageError, Use, credits, sweeper};

use crate::engines::{NOW, Store, at_once, tollgate};

const HOLD: i64 = 60;

async fn reserve(tollgate: &Tollgate, account: &AccountId, quantity: u64, key: &str) -> Reserved {
    tollgate.reserve(account, Use::new(AI_GENERATIONS, quantity, key), HOLD).await.unwrap()
}

async fn held(tollgate: &Tollgate, account: &AccountId, quantity: u64, key: &str) -> Reservation {
    match reserve(tollgate, account, quantity, key).await {
        Reserved::Held(reservation, _) => reservation,
        other => panic!("not held: {other:?}"),
    }
}

async fn reading(tollgate: &Tollgate, account: &AccountId) -> MeterReading {
    let readings = tollgate.usage(account).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == AI_GENERATIONS).unwrap()
}

/// Used, held, and what can still be had, of the free plan's ten.
async fn state(tollgate: &Tollgate, account: &AccountId) -> (u64, u64, Limit) {
    let reading = reading(tollgate, account).await;
    (reading.used, reading.reserved, reading.left())
}

async fn grant(store: &Store, account: &AccountId, units: i64) {
    let mut tx = store.db.begin().await.unwrap();
    credits::set_granted(&mut tx, account, AI_GENERATIONS, "pi_1", units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

on_both_engines! {
    async fn what_is_held_is_not_to_be_had_and_is_used_when_committed(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let reservation = held(&tollgate, &account, 4, "key").await;
        assert_eq!(state(&tollgate, &account).await, (0, 4, Limit::Finite(6)));
        assert!(matches!(reserve(&tollgate, &account, 7, "more").await, Reserved::Denied(_)));
        let committed = tollgate.commit(&reservation, Some(r#"{"promptLength":3}"#.to_owned()), None).await.unwrap();
        assert_eq!(committed.map(|reading| (reading.used, reading.reserved)), Some((4, 0)));
        assert_eq!(state(&tollgate, &account).await, (4, 0, Limit::Finite(6)));
        let records = rows::records_of(&store.db, &account, AI_GENERATIONS, 10).await.unwrap();
        let metadata = Some(r#"{"promptLength":3}"#.to_owned());
        assert_eq!(records, [("key".to_owned(), "counted".to_owned(), 4, metadata)]);
    }

    async fn what_is_released_is_to_be_had_again_and_so_is_its_key(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let reservation = held(&tollgate, &account, 10, "key").await;
        assert!(tollgate.release(&reservation).await.unwrap().is_some());
        assert_eq!(state(&tollgate, &account).await, (0, 0, Limit::Finite(10)));
        held(&tollgate, &account, 3, "key").await;
    }

    async fn a_reservation_ends_once_whatever_is_said_to_it_at_once(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        for round in 0..10 {
            let reservation = held(&tollgate, &account, 1, &format!("key {round}")).await;
            let ended = at_once(8, |n| {
                let (tollgate, reservation) = (tollgate.clone(), reservation.clone());
                async move {
                    let ended = if n % 2 == 0 { tollgate.commit(&reservation, None, None).await } else { tollgate.release(&reservation).await };
                    ended.unwrap().is_some()
                }
            })
            .await;
            assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
            assert_eq!(reading(&tollgate, &account).await.reserved, 0);
        }
    }

    async fn the_same_work_is_not_begun_twice(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let begun = at_once(10, |_| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { reserve(&tollgate, &account, 1, "key").await }
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
        tollgate.commit(&begun.remove(0), None, Some("an answer".to_owned())).await.unwrap();
        assert!(matches!(reserve(&tollgate, &account, 1, "key").await, Reserved::Repeated(_)));
        assert_eq!(tollgate.kept_answer(&account, "key").await.unwrap().as_deref(), Some("an answer"));
        assert_eq!(state(&tollgate, &account).await, (1, 0, Limit::Finite(9)));
    }

    async fn a_key_of_other_work_is_refused(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        held(&tollgate, &account, 1, "key").await;
        let other = |wanted| tollgate.reserve(&account, wanted, HOLD);
        assert!(matches!(other(Use::new(AI_GENERATIONS, 2, "key")).await, Err(UsageError::KeyReused)));
        assert!(matches!(other(Use::new(API_CALLS, 1, "key")).await, Err(UsageError::KeyReused)));
        let fingerprint = Use { fingerprint: "another", ..Use::new(AI_GENERATIONS, 1, "key") };
        assert!(matches!(other(fingerprint).await, Err(UsageError::KeyReused)));
        let recorded = tollgate.record_usage(&account, AI_GENERATIONS, 1, "key").await;
        assert!(matches!(recorded, Err(UsageError::KeyReused)), "to record is not to reserve");
    }

    /// A node dies between reserve and commit; nobody is there to release.
    async fn a_crash_between_reserve_and_commit_gives_the_unit_back_at_expiry(store) {
        let clock = Clock::manual(NOW);
        let account = store.account("ada@example.com").await;
        let crashed = tollgate(store.another_node().await, &clock);
        let reservation = held(&crashed, &account, 10, "key").await;
        crashed.db().close().await;
        drop(crashed);

        let survivor = store.tollgate(&clock);
        clock.set(NOW.plus_seconds(HOLD - 1));
        assert!(matches!(reserve(&survivor, &account, 1, "other").await, Reserved::Denied(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let next = held(&survivor, &account, 10, "other").await;
        assert!(survivor.commit(&reservation, None, None).await.unwrap().is_none(), "its time was over");
        assert!(survivor.commit(&next, None, None).await.unwrap().is_some());
        assert_eq!(state(&survivor, &account).await, (10, 0, Limit::Finite(0)));
    }

    async fn the_sweeper_gives_back_what_nobody_asks_for(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        for key in ["a", "b", "c"] {
            held(&tollgate, &account, 2, key).await;
        }
        let kept = held(&tollgate, &account, 1, "kept").await;
        tollgate.commit(&kept, None, None).await.unwrap();
        assert_eq!(sweeper::give_back_expired(&tollgate).await.unwrap(), 0);
        clock.set(NOW.plus_seconds(HOLD));
        assert_eq!(sweeper::give_back_expired(&tollgate).await.unwrap(), 3);
        assert_eq!(sweeper::give_back_expired(&tollgate).await.unwrap(), 0);
        assert_eq!(state(&tollgate, &account).await, (1, 0, Limit::Finite(9)));
        held(&tollgate, &account, 2, "a").await;
    }

    async fn two_sweepers_give_back_once(store) {
        let clock = Clock::manual(NOW);
        let account = store.account("ada@example.com").await;
        let other = store.another_node().await;
        let nodes = [store.tollgate(&clock), tollgate(other.clone(), &clock)];
        for n in 0..8 {
            held(&nodes[0], &account, 1, &format!("key {n}")).await;
        }
        clock.set(NOW.plus_seconds(HOLD));
        at_once(2, |n| {
            let tollgate = nodes[n].clone();
            async move { sweeper::give_back_expired(&tollgate).await.unwrap() }
        })
        .await;
        assert_eq!(state(&nodes[0], &account).await, (0, 0, Limit::Finite(10)));
        other.close().await;
    }

    /// The key of dead work is free at expiry, even where there is room for more.
    async fn work_that_died_can_be_begun_again_under_its_key(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        let died = held(&tollgate, &account, 1, "key").await;
        assert!(matches!(reserve(&tollgate, &account, 1, "key").await, Reserved::InProgress(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let again = held(&tollgate, &account, 1, "key").await;
        assert!(tollgate.commit(&died, None, None).await.unwrap().is_none(), "one does not end the other's work");
        assert!(tollgate.commit(&again, None, None).await.unwrap().is_some());
        assert_eq!(state(&tollgate, &account).await, (1, 0, Limit::Finite(9)));
    }

    async fn credits_that_were_held_go_back(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        grant(&store, &account, 5).await;
        let reservation = held(&tollgate, &account, 13, "key").await;
        let now = reading(&tollgate, &account).await;
        assert_eq!((now.used, now.reserved, now.credits, now.left()), (0, 10, 2, Limit::Finite(2)));
        tollgate.release(&reservation).await.unwrap();
        let now = reading(&tollgate, &account).await;
        assert_eq!((now.reserved, now.credits, now.left()), (0, 5, Limit::Finite(15)));

        held(&tollgate, &account, 15, "died").await;
        assert!(matches!(reserve(&tollgate, &account, 1, "other").await, Reserved::Denied(_)));
        clock.set(NOW.plus_seconds(HOLD));
        let reservation = held(&tollgate, &account, 12, "other").await;
        let now = tollgate.commit(&reservation, None, None).await.unwrap().unwrap();
        assert_eq!((now.used, now.reserved, now.from_credits, now.credits), (10, 0, 2, 3));
    }

    /// The window that a reservation was made in is the one it is counted in.
    async fn work_that_ends_in_the_next_window_counts_in_its_own(store) {
        let first_of_june = billing::Timestamp(1_780_272_000);
        let clock = Clock::manual(first_of_june.plus_seconds(-1));
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        let reservation = held(&tollgate, &account, 10, "key").await;
        clock.set(first_of_june);
        assert_eq!(state(&tollgate, &account).await, (0, 0, Limit::Finite(10)));
        let committed = tollgate.commit(&reservation, None, None).await.unwrap().unwrap();
        assert_eq!((committed.used, committed.window.end), (10, first_of_june));
        assert_eq!(state(&tollgate, &account).await, (0, 0, Limit::Finite(10)));
    }

    async fn a_mix_of_everything_on_two_nodes_never_passes_the_limit(store) {
        let account = store.account("ada@example.com").await;
        let other = store.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [store.tollgate(&clock), tollgate(other.clone(), &clock)];
        grant(&store, &account, 7).await;
        let used = at_once(80, |n| {
            let (tollgate, account) = (nodes[n % 2].clone(), account.clone());
            async move {
                let key = format!("key {n}");
                if n % 4 == 3 {
                    let recorded = tollgate.record_usage(&account, AI_GENERATIONS, 1, &key).await.unwrap();
                    return u64::from(matches!(recorded, Recorded::Counted(_)));
                }
                match reserve(&tollgate, &account, 1 + n as u64 % 3, &key).await {
                    Reserved::Held(reservation, _) if n % 3 == 0 => {
                        assert!(tollgate.release(&reservation).await.unwrap().is_some());
                        0
                    }
                    Reserved::Held(reservation, _) => {
                        assert!(tollgate.commit(&reservation, None, None).await.unwrap().is_some());
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
        assert_eq!((now.reserved, now.used_in_all()), (0, used));
        assert!(now.used <= 10 && now.credits == 7 - i64::try_from(now.from_credits).unwrap(), "{now:?}");
        other.close().await;
    }
}
