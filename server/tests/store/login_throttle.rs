//! The number of login attempts is exact under any concurrency.

use billing::Timestamp;
use server::store::login_throttle::{self, AttemptDecision};

use crate::databases::{TestDatabase, concurrently};
use crate::people::NOW;

const WINDOW: i64 = 900;
const LIMIT: i64 = 10;

/// Takes an attempt at `now`.
async fn take(database: &TestDatabase, key: &str, now: Timestamp) -> AttemptDecision {
    let mut tx = database.db.begin().await.unwrap();
    let taken = login_throttle::take(&mut tx, key, now, now.plus_seconds(-WINDOW), LIMIT).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn release(database: &TestDatabase, key: &str) {
    let mut tx = database.db.begin().await.unwrap();
    login_throttle::release(&mut tx, key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn use_up(database: &TestDatabase, key: &str) {
    for _ in 0..LIMIT {
        assert_eq!(take(database, key, NOW).await, AttemptDecision::Allowed);
    }
}

fn denied(window_start: Timestamp) -> AttemptDecision {
    AttemptDecision::Denied { window_start }
}

on_both_databases! {
    async fn ten_of_fifty_concurrent_attempts_are_allowed(database) {
        let taken = concurrently(50, |_| {
            let database = database.clone();
            async move { take(&database, "email:ada@example.com", NOW).await }
        })
        .await;
        assert_eq!(taken.iter().filter(|taken| **taken == AttemptDecision::Allowed).count(), 10);
        assert!(taken.iter().all(|taken| [AttemptDecision::Allowed, denied(NOW)].contains(taken)), "{taken:?}");
    }

    async fn one_address_does_not_use_up_the_attempts_of_another(database) {
        use_up(&database, "email:ada@example.com").await;
        assert_eq!(take(&database, "email:ada@example.com", NOW).await, denied(NOW));
        assert_eq!(take(&database, "email:eve@example.com", NOW).await, AttemptDecision::Allowed);
    }

    async fn the_window_ends_to_the_second(database) {
        use_up(&database, "key").await;
        assert_eq!(take(&database, "key", NOW.plus_seconds(WINDOW - 1)).await, denied(NOW));
        let next = NOW.plus_seconds(WINDOW);
        for _ in 0..LIMIT {
            assert_eq!(take(&database, "key", next).await, AttemptDecision::Allowed, "a new window has all its attempts");
        }
        assert_eq!(take(&database, "key", next).await, denied(next));
    }

    /// Otherwise someone who keeps guessing could lock the owner out forever.
    async fn denied_attempts_do_not_extend_the_window(database) {
        use_up(&database, "key").await;
        for second in 1..20 {
            assert_eq!(take(&database, "key", NOW.plus_seconds(second)).await, denied(NOW));
        }
        assert_eq!(take(&database, "key", NOW.plus_seconds(WINDOW)).await, AttemptDecision::Allowed);
    }

    async fn an_attempt_given_back_can_be_taken_again(database) {
        use_up(&database, "key").await;
        release(&database, "key").await;
        assert_eq!(take(&database, "key", NOW).await, AttemptDecision::Allowed);
        assert_eq!(take(&database, "key", NOW).await, denied(NOW));
    }

    async fn no_more_is_given_back_than_was_taken(database) {
        assert_eq!(take(&database, "key", NOW).await, AttemptDecision::Allowed);
        for _ in 0..5 {
            release(&database, "key").await;
        }
        release(&database, "never taken").await;
        use_up(&database, "key").await;
        assert_eq!(take(&database, "key", NOW).await, denied(NOW));
    }

    async fn a_check_predicts_an_attempt_without_counting_it(database) {
        let check = async |now: Timestamp| {
            login_throttle::check(&database.db, "key", now.plus_seconds(-WINDOW), LIMIT).await.unwrap()
        };
        for _ in 0..LIMIT {
            assert_eq!(check(NOW).await, AttemptDecision::Allowed);
            assert_eq!(take(&database, "key", NOW).await, AttemptDecision::Allowed);
        }
        assert_eq!(check(NOW.plus_seconds(WINDOW - 1)).await, denied(NOW));
        assert_eq!(check(NOW.plus_seconds(WINDOW)).await, AttemptDecision::Allowed);
    }

    async fn only_windows_that_are_over_are_deleted(database) {
        let over = NOW.plus_seconds(-WINDOW);
        take(&database, "over", over).await;
        use_up(&database, "current").await;
        let mut tx = database.db.begin().await.unwrap();
        login_throttle::delete_expired(&mut tx, over).await.unwrap();
        tx.commit().await.unwrap();
        // With a limit of one, a window that was kept would deny.
        let decision = login_throttle::check(&database.db, "over", over.plus_seconds(-1), 1).await.unwrap();
        assert_eq!(decision, AttemptDecision::Allowed);
        assert_eq!(take(&database, "current", NOW).await, denied(NOW));
    }
}
