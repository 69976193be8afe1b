//! One open Checkout per account for a plan, and one for each product, by the database's word and
//! not only by ours.

use billing::{AccountId, CheckoutSessionId, CustomerId, PriceId};
use server::store::accounts::lock_account;
use server::store::checkouts::{self, Attempt, AttemptStatus, Wanted};
use server::{StoreError, ids};

use crate::engines::{NOW, Store, at_once};

fn plan(name: &str) -> Wanted {
    Wanted::Plan(name.to_owned())
}

fn product(key: &str) -> Wanted {
    Wanted::Product(key.to_owned())
}

fn attempt_at(account: &AccountId, wanted: Wanted) -> Attempt {
    Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        customer_id: CustomerId::new("cus_ada"),
        trial_days: if matches!(wanted, Wanted::Plan(_)) { 14 } else { 0 },
        wanted,
        price_id: PriceId::new("price_1"),
        metered: vec![PriceId::new("price_calls"), PriceId::new("price_texts")],
        status: AttemptStatus::Creating,
        session: None,
    }
}

fn attempt(account: &AccountId) -> Attempt {
    attempt_at(account, plan("PRO/month"))
}

async fn insert(store: &Store, attempt: &Attempt) -> Result<(), StoreError> {
    let mut tx = store.db.begin().await?;
    checkouts::insert(&mut tx, attempt, NOW).await?;
    tx.commit().await
}

async fn open_at(store: &Store, account: &AccountId, wanted: &Wanted) -> Option<Attempt> {
    let mut tx = store.db.begin().await.unwrap();
    checkouts::open_of(&mut tx, account, wanted).await.unwrap()
}

async fn open_of(store: &Store, account: &AccountId) -> Option<Attempt> {
    open_at(store, account, &plan("PRO/month")).await
}

async fn has_open(store: &Store, account: &AccountId) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    checkouts::has_open(&mut tx, account).await.unwrap()
}

/// What the account could still buy, by name.
async fn all_open_of(store: &Store, account: &AccountId) -> Vec<String> {
    let open = checkouts::all_open_of(&store.db, account).await.unwrap();
    let mut names: Vec<String> = open.iter().map(|attempt| attempt.wanted.name().to_owned()).collect();
    names.sort();
    names
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
        for (wanted, session) in [(plan("PRO/month"), "cs_plan"), (product("ai-500"), "cs_product")] {
            let written = attempt_at(&account, wanted);
            insert(&store, &written).await.unwrap();
            let read = open_at(&store, &account, &written.wanted).await.expect("it is open");
            assert_eq!((read.id.as_str(), &read.account_id), (written.id.as_str(), &account));
            assert!(read.asks_the_same(&written), "{read:?}");
            assert_eq!((read.status, read.session), (AttemptStatus::Creating, None));

            assert!(set_open(&store, &written, session).await);
            let session = (CheckoutSessionId::new(session), format!("https://checkout.stripe.com/c/pay/{session}"));
            let read = checkouts::by_session(&store.db, &session.0).await.unwrap().expect("it has the session");
            assert_eq!((read.id, read.status, read.session), (written.id.clone(), AttemptStatus::Open, Some(session)));
            assert_eq!(read.wanted, written.wanted);
        }
        assert!(checkouts::by_session(&store.db, &CheckoutSessionId::new("cs_none")).await.unwrap().is_none());
    }

    async fn a_second_open_attempt_is_refused_by_the_database(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        let first = attempt(&ada);
        insert(&store, &first).await.unwrap();
        assert!(insert(&store, &attempt_at(&ada, plan("ENTERPRISE/month"))).await.is_err());
        assert!(set_open(&store, &first, "cs_1").await);
        assert!(insert(&store, &attempt(&ada)).await.is_err());
        insert(&store, &attempt(&eve)).await.expect("another account's attempt is its own");
    }

    async fn another_plan_finds_the_open_one_in_its_way(store) {
        let account = store.account("ada@example.com").await;
        let first = attempt(&account);
        insert(&store, &first).await.unwrap();
        let found = open_at(&store, &account, &plan("ENTERPRISE/year")).await.expect("one plan at all");
        assert_eq!(found.id, first.id);
        assert!(open_at(&store, &account, &product("PRO/month")).await.is_none(), "a product is no plan");
    }

    async fn each_product_is_bought_beside_the_others_and_beside_a_plan(store) {
        let account = store.account("ada@example.com").await;
        for wanted in [plan("PRO/month"), product("ai-500"), product("ai-2500")] {
            insert(&store, &attempt_at(&account, wanted.clone())).await.expect("nothing stands in its way");
            assert!(insert(&store, &attempt_at(&account, wanted.clone())).await.is_err(), "{wanted:?} once at a time");
            let found = open_at(&store, &account, &wanted).await.expect("it is open");
            assert_eq!(found.wanted, wanted);
        }
        assert!(open_at(&store, &account, &product("ai-9000")).await.is_none());
        assert_eq!(all_open_of(&store, &account).await, ["PRO/month", "ai-2500", "ai-500"]);
    }

    async fn what_is_closed_can_be_bought_no_more_and_the_rest_can(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(!has_open(&store, &ada).await);
        let attempts = [plan("PRO/month"), product("ai-500"), product("ai-2500")].map(|wanted| attempt_at(&ada, wanted));
        for attempt in &attempts {
            insert(&store, attempt).await.unwrap();
        }
        insert(&store, &attempt(&eve)).await.unwrap();
        set_open(&store, &attempts[1], "cs_product").await;
        assert_eq!(all_open_of(&store, &ada).await, ["PRO/month", "ai-2500", "ai-500"]);

        close(&store, &attempts[0], AttemptStatus::Superseded).await;
        close_session(&store, "cs_product", AttemptStatus::Complete).await;
        assert_eq!(all_open_of(&store, &ada).await, ["ai-2500"]);
        assert!(has_open(&store, &ada).await);
        close(&store, &attempts[2], AttemptStatus::Failed).await;
        assert!(!has_open(&store, &ada).await);
        assert!(has_open(&store, &eve).await, "what another account buys is not concerned");
    }

    async fn of_many_inserts_at_once_one_is_taken(store) {
        let account = store.account("ada@example.com").await;
        for wanted in [plan("PRO/month"), product("ai-500")] {
        let inserted = at_once(12, |_| {
            let (store, attempt) = (store.clone(), attempt_at(&account, wanted.clone()));
            async move { insert(&store, &attempt).await.is_ok() }
        })
        .await;
        assert_eq!(inserted.iter().filter(|inserted| **inserted).count(), 1, "{wanted:?}");
        }
    }

    async fn whoever_locks_an_account_waits_for_the_one_who_has(store) {
        let account = store.account("ada@example.com").await;
        let first = attempt(&account);
        let mut tx = store.db.begin().await.unwrap();
        assert!(lock_account(&mut tx, &account).await.unwrap());
        let second = tokio::spawn({
            let (store, account) = (store.clone(), account.clone());
            async move {
                let mut tx = store.db.begin().await.unwrap();
                assert!(lock_account(&mut tx, &account).await.unwrap());
                checkouts::open_of(&mut tx, &account, &plan("PRO/month")).await.unwrap().map(|open| open.id)
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
            let (store, new) = (store.clone(), attempt(&account));
            async move {
                let mut tx = store.db.begin().await.unwrap();
                assert!(lock_account(&mut tx, &new.account_id).await.unwrap());
                if let Some(open) = checkouts::open_of(&mut tx, &new.account_id, &new.wanted).await.unwrap() {
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
            let attempt = attempt(&account);
            insert(&store, &attempt).await.expect("the one before is closed");
            close(&store, &attempt, status).await;
            assert!(open_of(&store, &account).await.is_none());
            assert!(!set_open(&store, &attempt, &format!("cs_{}", attempt.id)).await, "{status:?} is not opened again");
        }
    }

    async fn an_attempt_closes_with_its_session_and_only_once(store) {
        let account = store.account("ada@example.com").await;
        let paid = attempt(&account);
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
        let first = attempt(&account);
        insert(&store, &first).await.unwrap();
        set_open(&store, &first, "cs_1").await;
        close(&store, &first, AttemptStatus::Superseded).await;
        insert(&store, &attempt_at(&account, plan("ENTERPRISE/month"))).await.unwrap();
        close_session(&store, "cs_1", AttemptStatus::Complete).await;
        assert_eq!(status_of(&store, "cs_1").await, AttemptStatus::Complete);
    }

    async fn a_broken_attempt_says_where_it_is(store) {
        let account = store.account("ada@example.com").await;
        let broken = attempt(&account);
        insert(&store, &broken).await.unwrap();
        store.raw("UPDATE checkout_attempt SET trial_days = -1").await;
        let mut tx = store.db.begin().await.unwrap();
        let error = checkouts::open_of(&mut tx, &account, &broken.wanted).await.expect_err("there is no such number of days");
        let StoreError::BadRow { table, row, column, .. } = error else { panic!("{error}") };
        assert_eq!((table, row, column), ("checkout_attempt", broken.id, "trial_days"));
    }
}

#[test]
fn a_session_will_do_for_whoever_asks_the_same() {
    let ada = AccountId::new("ada");
    let asked = attempt(&ada);
    let again = Attempt { id: ids::new_id(), status: AttemptStatus::Open, ..asked.clone() };
    assert!(again.asks_the_same(&asked), "which attempt it is and where it stands is not asked");
    for other in [
        Attempt { wanted: plan("PRO/year"), ..asked.clone() },
        Attempt { wanted: product("PRO/month"), ..asked.clone() },
        Attempt { customer_id: CustomerId::new("cus_next"), ..asked.clone() },
        Attempt { price_id: PriceId::new("price_2"), ..asked.clone() },
        Attempt { trial_days: 0, ..asked.clone() },
    ] {
        assert!(!other.asks_the_same(&asked), "{other:?}");
    }
}
