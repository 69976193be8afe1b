//! One open Checkout per account, by the database's word and not only by ours.

use billing::{AccountId, CheckoutSessionId, PriceId};
use server::store::accounts::lock_account;
use server::store::checkouts::{self, Attempt, AttemptStatus};
use server::{StoreError, ids};

use crate::engines::{NOW, Store, at_once};

fn attempt(account: &AccountId, purchase: &str) -> Attempt {
    Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        purchase: purchase.to_owned(),
        price_id: PriceId::new("price_pro"),
        trial_days: 14,
        status: AttemptStatus::Creating,
        session: None,
    }
}

async fn insert(store: &Store, attempt: &Attempt) -> Result<(), StoreError> {
    let mut tx = store.db.begin().await?;
    checkouts::insert(&mut tx, attempt, NOW).await?;
    tx.commit().await
}

async fn open_of(store: &Store, account: &AccountId) -> Option<Attempt> {
    let mut tx = store.db.begin().await.unwrap();
    checkouts::open_of(&mut tx, account).await.unwrap()
}

async fn set_open(store: &Store, attempt: &Attempt, session: &str) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let url = format!("https://checkout.stripe.com/c/pay/{session}");
    let kept = checkouts::set_open(&mut tx, &attempt.id, &CheckoutSessionId::new(session), &url).await.unwrap();
    tx.commit().await.unwrap();
    kept
}

async fn close(store: &Store, attempt: &Attempt, status: AttemptStatus) {
    let mut tx = store.db.begin().await.unwrap();
    checkouts::close(&mut tx, &attempt.id, status).await.unwrap();
    tx.commit().await.unwrap();
}

async fn close_session(store: &Store, session: &str, status: AttemptStatus) {
    let mut tx = store.db.begin().await.unwrap();
    checkouts::close_session(&mut tx, &CheckoutSessionId::new(session), status).await.unwrap();
    tx.commit().await.unwrap();
}

async fn status_of(store: &Store, session: &str) -> AttemptStatus {
    let found = checkouts::by_session(&store.db, &CheckoutSessionId::new(session)).await.unwrap();
    found.expect("the session belongs to an attempt").status
}

on_both_engines! {
    async fn an_attempt_comes_back_as_it_was_written(store) {
        let account = store.account("ada@example.com").await;
        let written = attempt(&account, "PRO/month");
        insert(&store, &written).await.unwrap();
        let read = open_of(&store, &account).await.expect("it is open");
        assert_eq!((read.id.as_str(), &read.account_id), (written.id.as_str(), &account));
        assert_eq!((read.purchase.as_str(), read.price_id, read.trial_days), ("PRO/month", written.price_id.clone(), 14));
        assert_eq!((read.status, read.session), (AttemptStatus::Creating, None));

        assert!(set_open(&store, &written, "cs_1").await);
        let session = (CheckoutSessionId::new("cs_1"), "https://checkout.stripe.com/c/pay/cs_1".to_owned());
        let read = checkouts::by_session(&store.db, &session.0).await.unwrap().expect("it has the session");
        assert_eq!((read.id, read.status, read.session), (written.id, AttemptStatus::Open, Some(session)));
    }

    async fn a_second_open_attempt_is_refused_by_the_database(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        let first = attempt(&ada, "PRO/month");
        insert(&store, &first).await.unwrap();
        assert!(insert(&store, &attempt(&ada, "ENTERPRISE/month")).await.is_err());
        assert!(set_open(&store, &first, "cs_1").await);
        assert!(insert(&store, &attempt(&ada, "PRO/month")).await.is_err());
        insert(&store, &attempt(&eve, "PRO/month")).await.expect("another account's attempt is its own");
    }

    async fn of_many_inserts_at_once_one_is_taken(store) {
        let account = store.account("ada@example.com").await;
        let inserted = at_once(12, |_| {
            let (store, attempt) = (store.clone(), attempt(&account, "PRO/month"));
            async move { insert(&store, &attempt).await.is_ok() }
        })
        .await;
        assert_eq!(inserted.iter().filter(|inserted| **inserted).count(), 1);
    }

    async fn whoever_locks_an_account_waits_for_the_one_who_has(store) {
        let account = store.account("ada@example.com").await;
        let first = attempt(&account, "PRO/month");
        let mut tx = store.db.begin().await.unwrap();
        lock_account(&mut tx, &account).await.unwrap();
        let second = tokio::spawn({
            let (store, account) = (store.clone(), account.clone());
            async move {
                let mut tx = store.db.begin().await.unwrap();
                lock_account(&mut tx, &account).await.unwrap();
                checkouts::open_of(&mut tx, &account).await.unwrap().map(|open| open.id)
            }
        });
        store.until_waiting(&second).await;
        checkouts::insert(&mut tx, &first, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(second.await.unwrap(), Some(first.id), "the second looked before the first was done");
    }

    /// What a double click does: lock, look, insert. Everybody ends at the same attempt.
    async fn all_who_lock_the_account_first_find_one_attempt(store) {
        let account = store.account("ada@example.com").await;
        let mut found = at_once(20, |_| {
            let (store, new) = (store.clone(), attempt(&account, "PRO/month"));
            async move {
                let mut tx = store.db.begin().await.unwrap();
                lock_account(&mut tx, &new.account_id).await.unwrap();
                if let Some(open) = checkouts::open_of(&mut tx, &new.account_id).await.unwrap() {
                    return open.id;
                }
                checkouts::insert(&mut tx, &new, NOW).await.expect("nobody else holds the lock");
                tx.commit().await.unwrap();
                new.id
            }
        })
        .await;
        found.dedup();
        assert_eq!(found.len(), 1, "{found:?}");
    }

    async fn a_closed_attempt_makes_room_for_another(store) {
        use AttemptStatus::{Complete, Expired, Failed, Superseded};
        let account = store.account("ada@example.com").await;
        for status in [Complete, Expired, Superseded, Failed] {
            let attempt = attempt(&account, "PRO/month");
            insert(&store, &attempt).await.expect("the one before is closed");
            close(&store, &attempt, status).await;
            assert!(open_of(&store, &account).await.is_none());
            assert!(!set_open(&store, &attempt, &format!("cs_{}", attempt.id)).await, "{status:?} is not opened again");
        }
    }

    async fn an_attempt_closes_with_its_session_and_only_once(store) {
        let account = store.account("ada@example.com").await;
        let paid = attempt(&account, "PRO/month");
        insert(&store, &paid).await.unwrap();
        set_open(&store, &paid, "cs_1").await;
        close_session(&store, "cs_1", AttemptStatus::Complete).await;
        assert_eq!(status_of(&store, "cs_1").await, AttemptStatus::Complete);
        close_session(&store, "cs_1", AttemptStatus::Expired).await;
        close(&store, &paid, AttemptStatus::Superseded).await;
        assert_eq!(status_of(&store, "cs_1").await, AttemptStatus::Complete, "what was paid stays paid");
        close_session(&store, "cs_unknown", AttemptStatus::Expired).await;
    }

    /// Somebody paid in the tab that was thought to be given up.
    async fn a_superseded_session_can_still_turn_out_paid(store) {
        let account = store.account("ada@example.com").await;
        let first = attempt(&account, "PRO/month");
        insert(&store, &first).await.unwrap();
        set_open(&store, &first, "cs_1").await;
        close(&store, &first, AttemptStatus::Superseded).await;
        insert(&store, &attempt(&account, "ENTERPRISE/month")).await.unwrap();
        close_session(&store, "cs_1", AttemptStatus::Complete).await;
        assert_eq!(status_of(&store, "cs_1").await, AttemptStatus::Complete);
    }

    async fn a_broken_attempt_says_where_it_is(store) {
        let account = store.account("ada@example.com").await;
        let broken = attempt(&account, "PRO/month");
        insert(&store, &broken).await.unwrap();
        store.raw("UPDATE checkout_attempt SET trial_days = -1").await;
        let mut tx = store.db.begin().await.unwrap();
        let error = checkouts::open_of(&mut tx, &account).await.expect_err("there is no such number of days");
        let StoreError::BadRow { table, row, column, .. } = error else { panic!("{error}") };
        assert_eq!((table, row, column), ("checkout_attempt", broken.id, "trial_days"));
    }
}
