//! At most one open Checkout per account for a plan and one for each product, which the database enforces.

use billing::{AccountId, CheckoutSessionId, CustomerId, PriceId};
use engine::store::accounts::lock;
use engine::store::checkouts::{self, Attempt, AttemptStatus, CheckoutItem, OpenSession};
use engine::{StoreError, ids};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::NOW;

fn plan(name: &str) -> CheckoutItem {
    CheckoutItem::Plan(name.to_owned())
}

fn product(key: &str) -> CheckoutItem {
    CheckoutItem::Product(key.to_owned())
}

fn attempt_for(account: &AccountId, item: CheckoutItem) -> Attempt {
    Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        customer_id: CustomerId::new("cus_ada"),
        trial_days: if matches!(item, CheckoutItem::Plan(_)) { 14 } else { 0 },
        item,
        price_id: PriceId::new("price_1"),
        metered: vec![PriceId::new("price_calls"), PriceId::new("price_texts")],
        status: AttemptStatus::Creating,
        session: None,
    }
}

fn attempt(account: &AccountId) -> Attempt {
    attempt_for(account, plan("PRO/month"))
}

async fn insert(database: &TestDatabase, attempt: &Attempt) -> Result<(), StoreError> {
    let mut tx = database.db.begin().await?;
    checkouts::insert(&mut tx, attempt, NOW).await?;
    tx.commit().await
}

async fn open_for(database: &TestDatabase, account: &AccountId, item: &CheckoutItem) -> Option<Attempt> {
    let mut tx = database.db.begin().await.unwrap();
    checkouts::open_for(&mut tx, account, item).await.unwrap()
}

async fn open_plan(database: &TestDatabase, account: &AccountId) -> Option<Attempt> {
    open_for(database, account, &plan("PRO/month")).await
}

async fn has_open(database: &TestDatabase, account: &AccountId) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    checkouts::has_open(&mut tx, account).await.unwrap()
}

/// The open attempts of the account, by name.
async fn all_open(database: &TestDatabase, account: &AccountId) -> Vec<String> {
    let open = checkouts::all_open(&database.db, account).await.unwrap();
    let mut names: Vec<String> = open.iter().map(|attempt| attempt.item.name().to_owned()).collect();
    names.sort();
    names
}

async fn set_open(database: &TestDatabase, attempt: &Attempt, session: &str) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let is_open = checkouts::set_open(&mut tx, &attempt.id, &open_session(session)).await.unwrap();
    tx.commit().await.unwrap();
    is_open
}

fn open_session(id: &str) -> OpenSession {
    OpenSession { id: CheckoutSessionId::new(id), url: format!("https://checkout.stripe.com/c/pay/{id}") }
}

async fn close(database: &TestDatabase, attempt: &Attempt, status: AttemptStatus) {
    let mut tx = database.db.begin().await.unwrap();
    checkouts::close(&mut tx, &attempt.id, status).await.unwrap();
    tx.commit().await.unwrap();
}

async fn close_session(database: &TestDatabase, session: &str, status: AttemptStatus) {
    let mut tx = database.db.begin().await.unwrap();
    checkouts::close_session(&mut tx, &CheckoutSessionId::new(session), status).await.unwrap();
    tx.commit().await.unwrap();
}

async fn status_of(database: &TestDatabase, session: &str) -> AttemptStatus {
    let found = checkouts::by_session(&database.db, &CheckoutSessionId::new(session)).await.unwrap();
    found.expect("the session belongs to an attempt").status
}

on_both_databases! {
    async fn an_attempt_is_read_back_as_it_was_written(database) {
        let account = database.account("ada@example.com").await;
        for (item, session) in [(plan("PRO/month"), "cs_plan"), (product("ai-500"), "cs_product")] {
            let written = attempt_for(&account, item);
            insert(&database, &written).await.unwrap();
            let read = open_for(&database, &account, &written.item).await.expect("it is open");
            assert_eq!((read.id.as_str(), &read.account_id), (written.id.as_str(), &account));
            assert!(read.is_same_request(&written), "{read:?}");
            assert_eq!((read.status, read.session), (AttemptStatus::Creating, None));

            assert!(set_open(&database, &written, session).await);
            let session = open_session(session);
            let read = checkouts::by_session(&database.db, &session.id).await.unwrap().expect("it has the session");
            assert_eq!((read.id, read.status, read.session), (written.id.clone(), AttemptStatus::Open, Some(session)));
            assert_eq!(read.item, written.item);
        }
        assert!(checkouts::by_session(&database.db, &CheckoutSessionId::new("cs_none")).await.unwrap().is_none());
    }

    async fn the_database_rejects_a_second_open_attempt_for_a_plan(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        let first = attempt(&ada);
        insert(&database, &first).await.unwrap();
        assert!(insert(&database, &attempt_for(&ada, plan("ENTERPRISE/month"))).await.is_err());
        assert!(set_open(&database, &first, "cs_1").await);
        assert!(insert(&database, &attempt(&ada)).await.is_err());
        insert(&database, &attempt(&eve)).await.expect("other accounts are not affected");
    }

    async fn the_open_attempt_for_a_plan_is_found_from_any_other_plan(database) {
        let account = database.account("ada@example.com").await;
        let first = attempt(&account);
        insert(&database, &first).await.unwrap();
        let found = open_for(&database, &account, &plan("ENTERPRISE/year")).await.expect("one plan at a time");
        assert_eq!(found.id, first.id);
        assert!(open_for(&database, &account, &product("PRO/month")).await.is_none(), "a product is not a plan");
    }

    async fn each_product_can_be_bought_alongside_the_others_and_a_plan(database) {
        let account = database.account("ada@example.com").await;
        for item in [plan("PRO/month"), product("ai-500"), product("ai-2500")] {
            insert(&database, &attempt_for(&account, item.clone())).await.expect("the others do not conflict");
            assert!(insert(&database, &attempt_for(&account, item.clone())).await.is_err(), "{item:?} is open already");
            let found = open_for(&database, &account, &item).await.expect("it is open");
            assert_eq!(found.item, item);
        }
        assert!(open_for(&database, &account, &product("ai-9000")).await.is_none());
        assert_eq!(all_open(&database, &account).await, ["PRO/month", "ai-2500", "ai-500"]);
    }

    async fn a_closed_attempt_is_no_longer_open_and_the_others_still_are(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        assert!(!has_open(&database, &ada).await);
        let attempts = [plan("PRO/month"), product("ai-500"), product("ai-2500")].map(|item| attempt_for(&ada, item));
        for attempt in &attempts {
            insert(&database, attempt).await.unwrap();
        }
        insert(&database, &attempt(&eve)).await.unwrap();
        set_open(&database, &attempts[1], "cs_product").await;
        assert_eq!(all_open(&database, &ada).await, ["PRO/month", "ai-2500", "ai-500"]);

        close(&database, &attempts[0], AttemptStatus::Superseded).await;
        close_session(&database, "cs_product", AttemptStatus::Complete).await;
        assert_eq!(all_open(&database, &ada).await, ["ai-2500"]);
        assert!(has_open(&database, &ada).await);
        close(&database, &attempts[2], AttemptStatus::Failed).await;
        assert!(!has_open(&database, &ada).await);
        assert!(has_open(&database, &eve).await, "other accounts are not affected");
    }

    async fn only_one_of_many_concurrent_inserts_succeeds(database) {
        let account = database.account("ada@example.com").await;
        for item in [plan("PRO/month"), product("ai-500")] {
            let inserted = concurrently(12, |_| {
                let (database, attempt) = (database.clone(), attempt_for(&account, item.clone()));
                async move { insert(&database, &attempt).await.is_ok() }
            })
            .await;
            assert_eq!(inserted.iter().filter(|inserted| **inserted).count(), 1, "{item:?}");
        }
    }

    async fn a_second_lock_on_an_account_waits_for_the_first(database) {
        let account = database.account("ada@example.com").await;
        let first = attempt(&account);
        let mut tx = database.db.begin().await.unwrap();
        assert!(lock(&mut tx, &account).await.unwrap());
        let second = tokio::spawn({
            let (database, account) = (database.clone(), account.clone());
            async move {
                let mut tx = database.db.begin().await.unwrap();
                assert!(lock(&mut tx, &account).await.unwrap());
                checkouts::open_for(&mut tx, &account, &plan("PRO/month")).await.unwrap().map(|open| open.id)
            }
        });
        database.until_waiting(&second).await;
        checkouts::insert(&mut tx, &first, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(second.await.unwrap(), Some(first.id), "the second did not wait for the first");
    }

    /// A double click: each request locks the account, looks for an open attempt, and inserts one if there is none.
    async fn requests_that_lock_the_account_first_share_one_attempt(database) {
        let account = database.account("ada@example.com").await;
        let mut found = concurrently(20, |_| {
            let (database, new) = (database.clone(), attempt(&account));
            async move {
                let mut tx = database.db.begin().await.unwrap();
                assert!(lock(&mut tx, &new.account_id).await.unwrap());
                if let Some(open) = checkouts::open_for(&mut tx, &new.account_id, &new.item).await.unwrap() {
                    return open.id;
                }
                checkouts::insert(&mut tx, &new, NOW).await.expect("no other transaction holds the lock");
                tx.commit().await.unwrap();
                new.id
            }
        })
        .await;
        found.dedup();
        assert_eq!(found.len(), 1, "{found:?}");
    }

    async fn a_closed_attempt_makes_room_for_the_next(database) {
        use AttemptStatus::{Complete, Expired, Failed, Superseded};
        let account = database.account("ada@example.com").await;
        for status in [Complete, Expired, Superseded, Failed] {
            let attempt = attempt(&account);
            insert(&database, &attempt).await.expect("the previous one is closed");
            close(&database, &attempt, status).await;
            assert!(open_plan(&database, &account).await.is_none());
            assert!(
                !set_open(&database, &attempt, &format!("cs_{}", attempt.id)).await,
                "{status:?} cannot be opened again"
            );
        }
    }

    async fn an_attempt_closes_with_its_session_once(database) {
        let account = database.account("ada@example.com").await;
        let paid = attempt(&account);
        insert(&database, &paid).await.unwrap();
        set_open(&database, &paid, "cs_1").await;
        close_session(&database, "cs_1", AttemptStatus::Complete).await;
        assert_eq!(status_of(&database, "cs_1").await, AttemptStatus::Complete);
        close_session(&database, "cs_1", AttemptStatus::Expired).await;
        close(&database, &paid, AttemptStatus::Superseded).await;
        assert_eq!(status_of(&database, "cs_1").await, AttemptStatus::Complete, "a paid attempt stays complete");
        close_session(&database, "cs_unknown", AttemptStatus::Expired).await;
    }

    /// The customer paid in a tab whose attempt another purchase had replaced.
    async fn a_superseded_session_can_still_complete(database) {
        let account = database.account("ada@example.com").await;
        let first = attempt(&account);
        insert(&database, &first).await.unwrap();
        set_open(&database, &first, "cs_1").await;
        close(&database, &first, AttemptStatus::Superseded).await;
        insert(&database, &attempt_for(&account, plan("ENTERPRISE/month"))).await.unwrap();
        close_session(&database, "cs_1", AttemptStatus::Complete).await;
        assert_eq!(status_of(&database, "cs_1").await, AttemptStatus::Complete);
    }

    async fn a_corrupt_attempt_reports_its_row_and_column(database) {
        let account = database.account("ada@example.com").await;
        let broken = attempt(&account);
        insert(&database, &broken).await.unwrap();
        database.execute("UPDATE checkout_attempt SET trial_days = -1").await;
        let mut tx = database.db.begin().await.unwrap();
        let error =
            checkouts::open_for(&mut tx, &account, &broken.item).await.expect_err("a number of days is not negative");
        let StoreError::CorruptRow { table, row, column, .. } = error else { panic!("{error}") };
        assert_eq!((table, row, column), ("checkout_attempt", broken.id, "trial_days"));
    }
}

#[test]
fn two_attempts_for_the_same_item_are_the_same_request() {
    let ada = AccountId::new("ada");
    let asked = attempt(&ada);
    let again = Attempt { id: ids::new_id(), status: AttemptStatus::Open, ..asked.clone() };
    assert!(again.is_same_request(&asked), "the id and the status do not matter");
    for other in [
        Attempt { item: plan("PRO/year"), ..asked.clone() },
        Attempt { item: product("PRO/month"), ..asked.clone() },
        Attempt { customer_id: CustomerId::new("cus_next"), ..asked.clone() },
        Attempt { price_id: PriceId::new("price_2"), ..asked.clone() },
        Attempt { trial_days: 0, ..asked.clone() },
    ] {
        assert!(!other.is_same_request(&asked), "{other:?}");
    }
}
