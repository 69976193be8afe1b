//! Transactions are atomic, even if a statement fails or the caller is canceled.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use billing::EventId;
use engine::store::{MIGRATIONS, accounts, inbox, subscriptions, values};
use engine::{DatabaseUrl, Db, StoreError};

use crate::databases::{TestDatabase, on_sqlite};
use crate::samples::{NOW, event, pro};

async fn is_stored(db: &Db, id: &str) -> bool {
    inbox::by_id(db, &EventId::new(id)).await.unwrap().is_some()
}

async fn store_event(db: &Db, id: &str) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    inbox::insert(&mut tx, &[event(id)]).await?;
    tx.commit().await
}

/// The moment at which a caller is canceled.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// Before the database has run the statement.
    Early,
    /// After that, but before the caller has the result.
    Late,
}

/// Polls a future up to a number of times and drops it: the caller was canceled.
async fn abandon(future: impl Future<Output = ()>, polls: usize, gone: Gone) {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match (future.as_mut().poll(context), gone) {
            (Poll::Pending, Gone::Early) if left == 0 => Poll::Ready(()),
            (polled, _) => polled,
        }
    })
    .await;
}

/// More polls than a transaction needs.
const MAX_POLLS: usize = 40;

on_both_databases! {
    async fn a_transaction_that_is_dropped_leaves_nothing(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let subscription = pro("sub_1", &customer);
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(inbox::insert(&mut tx, &[event("evt_1")]).await.unwrap().len(), 1);
        assert!(subscriptions::write(&mut tx, &account, &subscription, None, "evt_1", NOW).await.unwrap());
        drop(tx);
        assert!(!is_stored(&database.db, "evt_1").await);
        assert!(subscriptions::by_id(&database.db, &subscription.id).await.unwrap().is_none());

        store_event(&database.db, "evt_1").await.expect("the dropped transaction holds no lock");
        assert!(is_stored(&database.db, "evt_1").await);
    }

    async fn others_see_only_what_was_committed(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let mut tx = database.db.begin().await.unwrap();
        let subscription = pro("sub_1", &customer);
        assert!(subscriptions::write(&mut tx, &account, &subscription, None, "evt_1", NOW).await.unwrap());
        let seen = subscriptions::by_id(&database.db, &subscription.id).await.unwrap();
        assert!(seen.is_none(), "readers neither wait for writers nor see uncommitted writes");
        tx.commit().await.unwrap();
        assert!(subscriptions::by_id(&database.db, &subscription.id).await.unwrap().is_some());
    }

    async fn committed_writes_survive_a_restart(database) {
        let ada = database.account("ada@example.com").await;
        database.db.close().await;
        let db = database.another_node().await;
        assert!(accounts::by_id(&db, &ada).await.unwrap().is_some());
        db.close().await;
    }

    /// PostgreSQL responds to the `COMMIT` of a failed transaction with a rollback and no error.
    async fn a_transaction_with_a_failed_statement_cannot_be_committed(database) {
        let mut tx = database.db.begin().await.unwrap();
        inbox::insert(&mut tx, &[event("evt_1")]).await.unwrap();
        let rejected = tx
            .execute("INSERT INTO customer (id, account_id, created_at) VALUES ($1, $2, 0)", values!["cus_1", "none"])
            .await;
        assert!(rejected.is_err(), "there is no such account");
        assert!(inbox::insert(&mut tx, &[event("evt_2")]).await.is_err(), "nothing more can be done in it");
        assert!(tx.commit().await.is_err());
        assert!(!is_stored(&database.db, "evt_1").await);
        store_event(&database.db, "evt_3").await.expect("the next transaction can succeed");
    }

    async fn a_transaction_whose_query_failed_cannot_be_committed(database) {
        for is_one in [true, false] {
            let mut tx = database.db.begin().await.unwrap();
            inbox::insert(&mut tx, &[event("evt_1")]).await.unwrap();
            let sql = "SELECT nothing FROM account";
            let failed = if is_one {
                tx.fetch_optional::<(String,)>(sql, values![]).await.is_err()
            } else {
                tx.fetch_all::<(String,)>(sql, values![]).await.is_err()
            };
            assert!(failed, "there is no such column");
            assert!(tx.commit().await.is_err());
            assert!(!is_stored(&database.db, "evt_1").await);
        }
    }

    /// A statement that was not awaited to completion may or may not have run.
    async fn a_transaction_with_an_abandoned_statement_cannot_be_committed(database) {
        const LONG: &str =
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT COUNT(*) FROM n";
        let mut is_abandoned = false;
        for _ in 0..100 {
            let mut tx = database.db.begin().await.unwrap();
            inbox::insert(&mut tx, &[event("evt_1")]).await.unwrap();
            let mut is_complete = false;
            let statement = async {
                tx.fetch_all::<(i64,)>(LONG, values![]).await.unwrap();
                is_complete = true;
            };
            abandon(statement, 1, Gone::Early).await;
            // The database may be faster than this thread.
            if !is_complete {
                assert!(tx.commit().await.is_err());
                assert!(!is_stored(&database.db, "evt_1").await);
                is_abandoned = true;
                break;
            }
        }
        assert!(is_abandoned, "the statement is always complete after one poll");
        store_event(&database.db, "evt_3").await.expect("the next transaction can succeed");
    }

    async fn the_database_works_after_a_caller_is_canceled_at_any_moment(database) {
        abandon_at_any_moment(&database.db).await;
    }
}

/// Stores an event in a database and is canceled, at every possible moment.
async fn abandon_at_any_moment(db: &Db) {
    store_event(db, "evt_first").await.unwrap();
    for gone in [Gone::Early, Gone::Late] {
        for polls in 0..MAX_POLLS {
            let id = format!("evt_{gone:?}_{polls}");
            abandon(async { store_event(db, &id).await.unwrap() }, polls, gone).await;
            assert!(is_stored(db, "evt_first").await, "{id}");
            store_event(db, &format!("{id}_next")).await.expect("the next transaction can succeed");
        }
        let last = format!("evt_{gone:?}_{}", MAX_POLLS - 1);
        assert!(is_stored(db, &last).await, "a transaction needs more polls");
    }
}

/// Such a database lives in its connection.
#[tokio::test]
async fn an_in_memory_database_survives_a_caller_canceled_at_any_moment() {
    let db = Db::connect(&DatabaseUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
    db.migrate(MIGRATIONS).await.unwrap();
    abandon_at_any_moment(&db).await;
    db.close().await;
}

#[tokio::test]
async fn sqlite_that_is_full_fails_the_write_and_accepts_the_next_one_that_fits() {
    on_sqlite(|database: TestDatabase| async move {
        let mut tx = database.db.begin().await.unwrap();
        // The write connection's own limit: no more pages than there are.
        tx.execute("PRAGMA max_page_count = 1", values![]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = database.db.begin().await.unwrap();
        let large = "x".repeat(1_000_000);
        let mut written = Ok(0);
        for n in 0..10 {
            let values = values![format!("claim {n}"), large.as_str(), 0_i64];
            written = tx
                .execute("INSERT INTO trial_claim (claim, subscription_id, claimed_at) VALUES ($1, $2, $3)", values)
                .await;
            if written.is_err() {
                break;
            }
        }
        assert!(written.is_err(), "the limit is not enforced");
        assert!(tx.commit().await.is_err());

        let mut tx = database.db.begin().await.expect("the connection is usable");
        tx.execute("PRAGMA max_page_count = 1000000", values![]).await.unwrap();
        tx.execute(
            "INSERT INTO trial_claim (claim, subscription_id, claimed_at) VALUES ($1, $2, $3)",
            values!["claim", "sub_1", 0_i64],
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(database.texts("SELECT claim FROM trial_claim").await, [Some("claim".to_owned())]);
    })
    .await;
}
