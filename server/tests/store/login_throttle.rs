//! How many logins may be tried: exact, however many try at once.

use billing::Timestamp;
use server::store::accounts;

use crate::engines::{NOW, Store, at_once};

const WINDOW: i64 = 900;
const MOST: i64 = 10;

/// Takes an attempt at `now`; when the window began, if there is none left.
async fn take(store: &Store, key: &str, now: Timestamp) -> Result<(), Timestamp> {
    let mut tx = store.db.begin().await.unwrap();
    let taken = accounts::take_login_attempt(&mut tx, key, now, now.plus_seconds(-WINDOW), MOST).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn give_back(store: &Store, key: &str) {
    let mut tx = store.db.begin().await.unwrap();
    accounts::give_back_login_attempt(&mut tx, key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn use_up(store: &Store, key: &str) {
    for _ in 0..MOST {
        assert_eq!(take(store, key, NOW).await, Ok(()));
    }
}

on_both_engines! {
    async fn of_fifty_guesses_at_once_ten_are_looked_at(store) {
        let taken = at_once(50, |_| {
            let store = store.clone();
            async move { take(&store, "email:ada@example.com", NOW).await }
        })
        .await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 10);
        assert!(taken.iter().all(|taken| matches!(taken, Ok(()) | Err(NOW))), "the window's start: {taken:?}");
    }

    async fn one_address_does_not_use_up_another(store) {
        use_up(&store, "email:ada@example.com").await;
        assert!(take(&store, "email:ada@example.com", NOW).await.is_err());
        assert_eq!(take(&store, "email:eve@example.com", NOW).await, Ok(()));
    }

    async fn the_window_ends_to_the_second(store) {
        use_up(&store, "key").await;
        assert_eq!(take(&store, "key", NOW.plus_seconds(WINDOW - 1)).await, Err(NOW));
        let next = NOW.plus_seconds(WINDOW);
        for _ in 0..MOST {
            assert_eq!(take(&store, "key", next).await, Ok(()), "a new window has all its attempts");
        }
        assert_eq!(take(&store, "key", next).await, Err(next));
    }

    /// Otherwise somebody who keeps guessing locks the owner out for good.
    async fn refused_guesses_do_not_move_the_window_on(store) {
        use_up(&store, "key").await;
        for second in 1..20 {
            assert_eq!(take(&store, "key", NOW.plus_seconds(second)).await, Err(NOW));
        }
        assert_eq!(take(&store, "key", NOW.plus_seconds(WINDOW)).await, Ok(()));
    }

    async fn an_attempt_given_back_can_be_taken_again(store) {
        use_up(&store, "key").await;
        give_back(&store, "key").await;
        assert_eq!(take(&store, "key", NOW).await, Ok(()));
        assert_eq!(take(&store, "key", NOW).await, Err(NOW));
    }

    async fn no_more_is_given_back_than_was_taken(store) {
        assert_eq!(take(&store, "key", NOW).await, Ok(()));
        for _ in 0..5 {
            give_back(&store, "key").await;
        }
        give_back(&store, "never taken").await;
        use_up(&store, "key").await;
        assert_eq!(take(&store, "key", NOW).await, Err(NOW));
    }
}
