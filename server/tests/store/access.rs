//! Cached access is never older than the last write that this node was told of.

use billing::{AccountId, CustomerId, Status, Subscription, Tier};
use server::clock::Clock;
use server::{Db, Tollgate, access};
use tokio_util::sync::CancellationToken;

use crate::engines::{NOW, Store, at_once, pro, tollgate, until};

/// What the program's nodes call the channel that names accounts whose rights have changed.
const CHANNEL: &str = "tollgate_access";

async fn tier(tollgate: &Tollgate, account: &AccountId) -> Tier {
    tollgate.entitlement(account).await.unwrap().tier
}

async fn subscriber(store: &Store) -> (AccountId, CustomerId) {
    let account = store.account("ada@example.com").await;
    let customer = store.customer(&account, "cus_ada").await;
    assert!(store.write(&account, &pro("sub_1", &customer), None).await);
    (account, customer)
}

/// Writes past the cache, so that a cache that is used gives itself away.
async fn write_unnoticed(store: &Store, status: &str) {
    store.raw(&format!("UPDATE subscription SET status = '{status}' WHERE id = 'sub_1'")).await;
}

async fn notify(db: &Db, account: &AccountId) {
    let mut tx = db.begin().await.unwrap();
    tx.notify(CHANNEL, account.as_str()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Whether `tollgate` answers from its cache: it does not see a write that nobody told it of.
async fn is_cached(store: &Store, tollgate: &Tollgate, account: &AccountId) -> bool {
    write_unnoticed(store, "active").await;
    tollgate.access().forget(account).await;
    assert_eq!(tier(tollgate, account).await, Tier::new("PRO"));
    write_unnoticed(store, "canceled").await;
    tier(tollgate, account).await == Tier::new("PRO")
}

on_both_engines! {
    async fn a_write_is_seen_as_soon_as_it_is_told(store) {
        let (account, customer) = subscriber(&store).await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        assert_eq!(tier(&tollgate, &account).await, Tier::new("PRO"));
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        assert!(store.write(&account, &canceled, Some(1)).await);
        tollgate.access().forget(&account).await;
        assert_eq!(tier(&tollgate, &account).await, Tier::new("FREE"));
    }

    async fn what_is_cached_still_changes_with_the_clock(store) {
        let (account, _) = subscriber(&store).await;
        let clock = Clock::manual(NOW);
        let tollgate = store.tollgate(&clock);
        assert_eq!(tier(&tollgate, &account).await, Tier::new("PRO"));
        let stale = NOW.plus_days(31 + 3);
        clock.set(stale.plus_seconds(-1));
        assert_eq!(tier(&tollgate, &account).await, Tier::new("PRO"));
        clock.set(stale);
        assert_eq!(tier(&tollgate, &account).await, Tier::new("FREE"));
    }

    async fn one_account_is_never_answered_with_anothers(store) {
        let (ada, _) = subscriber(&store).await;
        let eve = store.account("eve@example.com").await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        for _ in 0..2 {
            assert_eq!(tier(&tollgate, &ada).await, Tier::new("PRO"));
            assert_eq!(tier(&tollgate, &eve).await, Tier::new("FREE"));
        }
    }

    /// A reader that has read before the write and puts away what it read after `forget` would
    /// leave the old answer for the next five minutes.
    async fn no_answer_from_before_a_write_is_kept_after_it(store) {
        let (account, customer) = subscriber(&store).await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let stop = CancellationToken::new();
        let listening = tokio::spawn(access::listen(tollgate.clone(), stop.clone()));
        if store.db.postgres_pool().is_some() {
            until("the cache is used", || is_cached(&store, &tollgate, &account)).await;
        }
        for version in 1..=200 {
            let status = if version % 2 == 0 { Status::Active } else { Status::Canceled };
            let next = Subscription { status: status.clone(), ..pro("sub_1", &customer) };
            let readers = tokio::spawn(at_once(8, {
                let (tollgate, account) = (tollgate.clone(), account.clone());
                move |_| {
                    let (tollgate, account) = (tollgate.clone(), account.clone());
                    async move {
                        for _ in 0..4 {
                            tier(&tollgate, &account).await;
                        }
                    }
                }
            }));
            tollgate.access().forget(&account).await;
            assert!(store.write(&account, &next, Some(version)).await);
            tollgate.access().forget(&account).await;
            readers.await.unwrap();
            let expected = if status == Status::Active { "PRO" } else { "FREE" };
            assert_eq!(tier(&tollgate, &account).await, Tier::new(expected), "after write {version}");
        }
        stop.cancel();
        listening.await.unwrap();
    }
}

/// SQLite has one node: it hears of every write itself.
#[tokio::test]
async fn sqlite_caches_from_the_start() {
    crate::engines::on_sqlite(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        assert!(is_cached(&store, &tollgate, &account).await);
    })
    .await;
}

/// The command line, for one: it is another process, and tells nobody.
#[tokio::test]
async fn sqlite_sees_what_another_program_has_written() {
    crate::engines::on_sqlite(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let stop = CancellationToken::new();
        let listening = tokio::spawn(access::listen(tollgate.clone(), stop.clone()));
        assert_eq!(tier(&tollgate, &account).await, Tier::new("PRO"));
        for (status, expected) in [("canceled", "FREE"), ("active", "PRO"), ("canceled", "FREE")] {
            write_unnoticed(&store, status).await;
            until("it has seen it", || async { tier(&tollgate, &account).await == Tier::new(expected) }).await;
        }
        stop.cancel();
        listening.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn postgres_caches_nothing_without_a_line_to_the_other_nodes() {
    crate::engines::on_postgres(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let tollgate = store.tollgate(&Clock::manual(NOW));
        assert!(!is_cached(&store, &tollgate, &account).await);
    })
    .await;
}

#[tokio::test]
async fn postgres_tells_the_other_node_of_a_write() {
    crate::engines::on_postgres(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let db = store.another_node().await;
        let other = tollgate(db.clone(), &Clock::manual(NOW));
        let stop = CancellationToken::new();
        let listening = tokio::spawn(access::listen(other.clone(), stop.clone()));
        until("the other node caches", || is_cached(&store, &other, &account)).await;

        assert_eq!(tier(&other, &account).await, Tier::new("PRO"), "it has not been told yet");
        notify(&store.db, &account).await;
        until("the other node has heard", || async { tier(&other, &account).await == Tier::new("FREE") }).await;

        stop.cancel();
        listening.await.unwrap();
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_tells_nobody_of_a_write_that_was_taken_back() {
    crate::engines::on_postgres(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let other = store.tollgate(&Clock::manual(NOW));
        let stop = CancellationToken::new();
        let listening = tokio::spawn(access::listen(other.clone(), stop.clone()));
        until("the cache is used", || is_cached(&store, &other, &account)).await;

        let mut taken_back = store.db.begin().await.unwrap();
        taken_back.notify(CHANNEL, account.as_str()).await.unwrap();
        drop(taken_back);
        // Notifications keep their order: once this one has been heard, the other would have been.
        let eve = store.account("eve@example.com").await;
        assert_eq!(tier(&other, &eve).await, Tier::new("FREE"));
        store.raw("UPDATE subscription SET account_id = (SELECT id FROM account WHERE name = 'eve@example.com'), status = 'active'").await;
        notify(&store.db, &eve).await;
        until("the line works", || async { tier(&other, &eve).await == Tier::new("PRO") }).await;
        assert_eq!(tier(&other, &account).await, Tier::new("PRO"), "still as cached");

        stop.cancel();
        listening.await.unwrap();
    })
    .await;
}

/// What was written while the line was down was never heard of.
#[tokio::test]
async fn postgres_forgets_everything_when_the_line_is_lost() {
    crate::engines::on_postgres(|store: Store| async move {
        let (account, _) = subscriber(&store).await;
        let other = store.tollgate(&Clock::manual(NOW));
        let stop = CancellationToken::new();
        let listening = tokio::spawn(access::listen(other.clone(), stop.clone()));
        until("the cache is used", || is_cached(&store, &other, &account)).await;

        assert_eq!(tier(&other, &account).await, Tier::new("PRO"), "cached, and by now wrong");
        store.raw("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()").await;
        until("the truth is read", || async { tier(&other, &account).await == Tier::new("FREE") }).await;
        until("the line is back", || is_cached(&store, &other, &account)).await;

        stop.cancel();
        listening.await.unwrap();
    })
    .await;
}
