//! A cached entry is never older than the last write that this node was notified of.

use std::sync::Arc;
use std::time::Duration;

use billing::{AccountId, CustomerId, Status, Subscription, Tier};
use engine::cache::CHANNEL;
use engine::clock::Clock;
use engine::store::driver::postgres::PgListener;
use engine::store::{accounts, subscriptions};
use engine::tasks::cache_listener;
use engine::{Billable, Core, Db, accounts as acts};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::databases::{TestDatabase, concurrently, on_postgres, on_sqlite, until};
use crate::proxy::Proxy;
use crate::samples::{NOW, core, pro};

async fn tier(core: &Core, account: &AccountId) -> Tier {
    core.entitlement(account).await.unwrap().tier
}

async fn email(core: &Core, account: &AccountId) -> String {
    core.cache().contact(core.db(), account).await.unwrap().expect("the account exists").email.clone()
}

async fn subscriber(database: &TestDatabase) -> (AccountId, CustomerId) {
    let account = database.account("ada@example.com").await;
    let customer = database.customer(&account, "cus_ada").await;
    assert!(database.write(&account, &pro("sub_1", &customer), None).await);
    (account, customer)
}

/// Writes without invalidating the cache, so that its use can be detected.
async fn write_unnoticed(database: &TestDatabase, status: &str) {
    database.execute(&format!("UPDATE subscription SET status = '{status}' WHERE id = 'sub_1'")).await;
}

async fn notify(db: &Db, account: &AccountId) {
    let mut tx = db.begin().await.unwrap();
    tx.notify(CHANNEL, account.as_str()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Whether the core reads from its cache: then it does not see a write that it was not notified of.
async fn is_cached(database: &TestDatabase, core: &Core, account: &AccountId) -> bool {
    write_unnoticed(database, "active").await;
    core.cache().invalidation().invalidate(account.as_str());
    assert_eq!(tier(core, account).await, Tier::new("PRO"));
    write_unnoticed(database, "canceled").await;
    tier(core, account).await == Tier::new("PRO")
}

/// Short, so that a silent connection is soon noticed.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// The task that listens for writes elsewhere.
struct Listener {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listener {
    fn start(core: &Arc<Core>) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(cache_listener::run(Arc::clone(core), HEARTBEAT, stop.clone())), stop }
    }

    /// Starts it, and returns when the cache is used.
    async fn start_on_postgres(database: &TestDatabase, core: &Arc<Core>, account: &AccountId) -> Self {
        let listener = Self::start(core);
        until("the cache is used", || is_cached(database, core, account)).await;
        listener
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Writes a subscription's status as a sync does.
async fn sync(core: &Core, account: &AccountId, subscription: &Subscription, version: i64) {
    let mut seen = subscriptions::by_id(core.db(), &subscription.id).await.unwrap().expect("it is stored");
    assert_eq!(seen.version, version);
    seen.version = version;
    let mut tx = core.db().begin().await.unwrap();
    assert!(subscriptions::write(&mut tx, account, subscription, Some(&seen), "evt_1", NOW).await.unwrap());
    core.cache().commit(tx, vec![account.clone()]).await.unwrap();
}

/// Ensures that an account has this address.
async fn ensure(core: &Core, account: &AccountId, email: &str) {
    acts::ensure(core, &Billable::new(account.as_str(), email)).await.unwrap();
}

async fn stored_email(db: &Db, account: &AccountId) -> String {
    accounts::contact(db, account).await.unwrap().expect("the account exists").email
}

on_both_databases! {
    async fn a_write_is_seen_as_soon_as_it_is_committed(database) {
        let (account, customer) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"));
        sync(&core, &account, &Subscription { status: Status::Canceled, ..pro("sub_1", &customer) }, 1).await;
        assert_eq!(tier(&core, &account).await, Tier::new("FREE"));
    }

    async fn a_cached_entitlement_still_changes_with_the_clock(database) {
        let (account, _) = subscriber(&database).await;
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"));
        let stale = NOW.plus_days(31 + 3);
        clock.set(stale.plus_seconds(-1));
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"));
        clock.set(stale);
        assert_eq!(tier(&core, &account).await, Tier::new("FREE"));
    }

    async fn each_account_has_its_own_entries(database) {
        let (ada, _) = subscriber(&database).await;
        let eve = database.account("eve@example.com").await;
        let core = database.core(&Clock::manual(NOW));
        for _ in 0..2 {
            assert_eq!(tier(&core, &ada).await, Tier::new("PRO"));
            assert_eq!(tier(&core, &eve).await, Tier::new("FREE"));
            assert_eq!(
                (email(&core, &ada).await.as_str(), email(&core, &eve).await.as_str()),
                ("ada@example.com", "eve@example.com")
            );
        }
    }

    async fn an_account_that_does_not_exist_yet_is_seen_when_it_does(database) {
        let core = database.core(&Clock::manual(NOW));
        let ada = AccountId::new("ada");
        assert!(core.cache().contact(&database.db, &ada).await.unwrap().is_none());
        ensure(&core, &ada, "ada@example.com").await;
        assert_eq!(email(&core, &ada).await, "ada@example.com");
    }

    async fn a_contact_is_seen_as_soon_as_it_is_changed(database) {
        let core = database.core(&Clock::manual(NOW));
        let listener = Listener::start(&core);
        let ada = AccountId::new("ada");
        for n in 0..20 {
            let address = format!("ada{}@example.com", n % 3);
            ensure(&core, &ada, &address).await;
            assert_eq!((email(&core, &ada).await, stored_email(&database.db, &ada).await), (address.clone(), address));
        }
        listener.stop().await;
    }

    async fn a_contact_changed_in_a_host_transaction_is_seen(database) {
        let core = database.core(&Clock::manual(NOW));
        let ada = AccountId::new("ada");
        ensure(&core, &ada, "ada@example.com").await;
        let mut tx = database.db.begin().await.unwrap();
        acts::ensure_in(&mut tx, &core, &ada, &billing::email::Email::parse("byron@example.com").unwrap(), None)
            .await
            .unwrap();
        core.cache().commit(tx, vec![ada.clone()]).await.unwrap();
        assert_eq!(email(&core, &ada).await, "byron@example.com");
        // The host sends the first contact again, on purpose.
        ensure(&core, &ada, "ada@example.com").await;
        assert_eq!(stored_email(&database.db, &ada).await, "ada@example.com");
    }

    async fn a_contact_changed_on_another_node_is_seen(database) {
        let ada = AccountId::new("ada");
        let other_db = database.another_node().await;
        let (here, there) = (database.core(&Clock::manual(NOW)), core(other_db.clone(), &Clock::manual(NOW)));
        let listener = Listener::start(&here);
        ensure(&here, &ada, "ada@example.com").await;
        for address in ["byron@example.com", "lovelace@example.com"] {
            ensure(&there, &ada, address).await;
            until("this node is notified", || async { email(&here, &ada).await == address }).await;
            ensure(&here, &ada, "ada@example.com").await;
            assert_eq!(stored_email(&database.db, &ada).await, "ada@example.com");
            until("the other node is notified", || async {
                there.cache().invalidation().invalidate(ada.as_str());
                email(&there, &ada).await == "ada@example.com"
            })
            .await;
        }
        listener.stop().await;
        other_db.close().await;
    }

    /// A reader that has read before the write, and caches the row after the entry was dropped, would leave
    /// the old row in the cache for the next five minutes.
    async fn no_row_from_before_a_write_is_cached_after_it(database) {
        let (account, customer) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        let listener = if database.db.is_shared() {
            Listener::start_on_postgres(&database, &core, &account).await
        } else {
            Listener::start(&core)
        };
        write_unnoticed(&database, "active").await;
        for version in 1..=200 {
            let status = if version % 2 == 0 { Status::Active } else { Status::Canceled };
            let next = Subscription { status: status.clone(), ..pro("sub_1", &customer) };
            let readers = tokio::spawn(concurrently(8, {
                let (core, account) = (core.clone(), account.clone());
                move |_| {
                    let (core, account) = (core.clone(), account.clone());
                    async move {
                        for _ in 0..4 {
                            tier(&core, &account).await;
                        }
                    }
                }
            }));
            sync(&core, &account, &next, version).await;
            readers.await.unwrap();
            let expected = if status == Status::Active { "PRO" } else { "FREE" };
            assert_eq!(tier(&core, &account).await, Tier::new(expected), "after write {version}");
        }
        listener.stop().await;
    }

    async fn a_caller_canceled_during_a_commit_leaves_no_stale_entry(database) {
        let (account, customer) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"));
        let seen = subscriptions::by_id(&database.db, &canceled.id).await.unwrap().expect("it is stored");
        let mut tx = database.db.begin().await.unwrap();
        assert!(subscriptions::write(&mut tx, &account, &canceled, Some(&seen), "evt_1", NOW).await.unwrap());
        {
            let mut committing = std::pin::pin!(core.cache().commit(tx, vec![account.clone()]));
            let waker = std::task::Waker::noop();
            assert!(committing.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        }
        until("it was committed and is seen", || async { tier(&core, &account).await == Tier::new("FREE") }).await;
    }
}

/// SQLite has one node, which knows its own writes.
#[tokio::test]
async fn sqlite_caches_from_the_start() {
    on_sqlite(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        assert!(is_cached(&database, &core, &account).await);
    })
    .await;
}

/// Another process, such as the command line, sends no notifications.
#[tokio::test]
async fn sqlite_detects_writes_of_another_process() {
    on_sqlite(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        let listener = Listener::start(&core);
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"));
        for (status, expected) in [("canceled", "FREE"), ("active", "PRO"), ("canceled", "FREE")] {
            write_unnoticed(&database, status).await;
            until("it has seen the write", || async { tier(&core, &account).await == Tier::new(expected) }).await;
        }
        listener.stop().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_caches_nothing_without_a_connection_to_the_notifications() {
    on_postgres(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        assert!(!is_cached(&database, &core, &account).await);
    })
    .await;
}

#[tokio::test]
async fn postgres_notifies_the_other_node_of_a_write() {
    on_postgres(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let db = database.another_node().await;
        let other = core(db.clone(), &Clock::manual(NOW));
        let listener = Listener::start_on_postgres(&database, &other, &account).await;

        assert_eq!(tier(&other, &account).await, Tier::new("PRO"), "not notified yet");
        notify(&database.db, &account).await;
        until("the other node is notified", || async { tier(&other, &account).await == Tier::new("FREE") }).await;

        listener.stop().await;
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_notifies_no_one_of_a_write_that_was_rolled_back() {
    on_postgres(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        let listener = Listener::start_on_postgres(&database, &core, &account).await;

        let mut rolled_back = database.db.begin().await.unwrap();
        rolled_back.notify(CHANNEL, account.as_str()).await.unwrap();
        drop(rolled_back);
        // Notifications keep their order: once this one has arrived, the other would have too.
        let eve = database.account("eve@example.com").await;
        assert_eq!(tier(&core, &eve).await, Tier::new("FREE"));
        let to_eve = format!("UPDATE subscription SET account_id = '{eve}', status = 'active'");
        database.execute(&to_eve).await;
        notify(&database.db, &eve).await;
        until("notifications arrive", || async { tier(&core, &eve).await == Tier::new("PRO") }).await;
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"), "still as cached");

        listener.stop().await;
    })
    .await;
}

/// Writes during a lost connection are never notified.
#[tokio::test]
async fn postgres_drops_every_entry_when_the_connection_is_lost() {
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    on_postgres(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let core = database.core(&Clock::manual(NOW));
        let listener = Listener::start_on_postgres(&database, &core, &account).await;
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"), "cached, and by now wrong");
        database.execute(END).await;
        until("the database is read", || async { tier(&core, &account).await == Tier::new("FREE") }).await;
        until("the connection is back", || is_cached(&database, &core, &account)).await;
        listener.stop().await;
    })
    .await;
}

/// A network that drops packets closes no connection.
#[tokio::test]
async fn postgres_drops_every_entry_when_the_connection_falls_silent() {
    on_postgres(|database: TestDatabase| async move {
        let (account, _) = subscriber(&database).await;
        let proxy = Proxy::start(&database).await;
        let db = Db::connect(&proxy.url()).await.expect("the database is reachable");
        let core = core(db.clone(), &Clock::manual(NOW));
        let listener = Listener::start_on_postgres(&database, &core, &account).await;
        assert_eq!(tier(&core, &account).await, Tier::new("PRO"), "cached, and by now wrong");
        proxy.silence_notifications();
        until("the database is read", || async { tier(&core, &account).await == Tier::new("FREE") }).await;
        proxy.restore_notifications();
        until("the cache is used again", || is_cached(&database, &core, &account)).await;
        listener.stop().await;
        db.close().await;
    })
    .await;
}

/// Requests that wait for a connection must not look like a lost connection.
#[tokio::test]
async fn postgres_sends_heartbeats_while_the_pool_is_exhausted() {
    on_postgres(|database: TestDatabase| async move {
        let db = database.another_node().await;
        let pool = db.postgres_pool().unwrap();
        let mut held = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            held.push(db.begin().await.unwrap());
        }
        let mut heartbeats = PgListener::connect_with(database.db.postgres_pool().unwrap()).await.unwrap();
        heartbeats.listen("tollgate_heartbeat").await.unwrap();
        let listener = Listener::start(&core(db.clone(), &Clock::manual(NOW)));
        let arrived = tokio::time::timeout(Duration::from_secs(60), async {
            for _ in 0..5 {
                heartbeats.recv().await.unwrap();
            }
        });
        assert!(arrived.await.is_ok(), "no heartbeat arrives");
        listener.stop().await;
        drop(held);
        db.close().await;
    })
    .await;
}
