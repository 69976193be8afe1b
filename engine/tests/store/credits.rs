//! The balance is the sum of the purchases' current grants.

use billing::{AccountId, Meter};
use engine::metering::credits::set_granted;
use engine::store::credits::{Balance, balances};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{API_CALLS, EXPORTS, NOW};

async fn set(database: &TestDatabase, account: &AccountId, meter: Meter, source: &str, units: i64) {
    let mut tx = database.db.begin().await.unwrap();
    set_granted(&mut tx, account, meter, source, units, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

/// The exports that are granted, after checking that they are the sum of the grants.
async fn granted(database: &TestDatabase, account: &AccountId) -> i64 {
    let balance =
        balances(&database.db, account).await.unwrap().into_iter().find(|balance| balance.meter == EXPORTS.as_str());
    let balance = balance.map_or(0, |Balance { granted, consumed, .. }| {
        assert_eq!(consumed, 0, "nothing was used");
        granted
    });
    let sql =
        format!("SELECT CAST(units AS TEXT) FROM credit_grant WHERE account_id = '{account}' AND meter = '{EXPORTS}'");
    let all = database.texts(&sql).await;
    let sum: i64 = all.iter().flatten().map(|units| units.parse::<i64>().expect("a number")).sum();
    assert_eq!(balance, sum, "{all:?}");
    balance
}

on_both_databases! {
    async fn a_purchase_that_is_reported_again_is_granted_once(database) {
        let account = database.account("ada@example.com").await;
        for _ in 0..5 {
            set(&database, &account, EXPORTS, "pi_1", 100).await;
            assert_eq!(granted(&database, &account).await, 100);
        }
        set(&database, &account, EXPORTS, "pi_2", 100).await;
        assert_eq!(granted(&database, &account).await, 200);
    }

    async fn twenty_concurrent_reports_of_one_purchase_grant_once(database) {
        let account = database.account("ada@example.com").await;
        concurrently(20, |_| {
            let (database, account) = (database.clone(), account.clone());
            async move { set(&database, &account, EXPORTS, "pi_1", 100).await }
        })
        .await;
        assert_eq!(granted(&database, &account).await, 100);
    }

    async fn concurrent_purchases_are_all_granted(database) {
        let account = database.account("ada@example.com").await;
        concurrently(20, |n| {
            let (database, account) = (database.clone(), account.clone());
            async move { set(&database, &account, EXPORTS, &format!("pi_{}", n % 10), 7).await }
        })
        .await;
        assert_eq!(granted(&database, &account).await, 70);
    }

    async fn a_refund_takes_back_only_the_units_of_its_purchase(database) {
        let account = database.account("ada@example.com").await;
        set(&database, &account, EXPORTS, "pi_1", 100).await;
        set(&database, &account, EXPORTS, "pi_2", 50).await;
        set(&database, &account, EXPORTS, "pi_1", 0).await;
        assert_eq!(granted(&database, &account).await, 50);
        set(&database, &account, EXPORTS, "pi_1", -100).await;
        assert_eq!(granted(&database, &account).await, 50);
        set(&database, &account, EXPORTS, "pi_1", 100).await;
        assert_eq!(granted(&database, &account).await, 150, "the refund failed");
    }

    async fn a_partial_refund_takes_back_a_part(database) {
        let account = database.account("ada@example.com").await;
        set(&database, &account, EXPORTS, "pi_1", 100).await;
        set(&database, &account, EXPORTS, "pi_1", 40).await;
        assert_eq!(granted(&database, &account).await, 40);
    }

    /// The meter of a product was corrected: no units of the wrong one remain.
    async fn a_purchase_that_grants_another_meter_no_longer_grants_the_first(database) {
        let account = database.account("ada@example.com").await;
        set(&database, &account, EXPORTS, "pi_1", 100).await;
        set(&database, &account, API_CALLS, "pi_1", 30).await;
        assert_eq!(granted(&database, &account).await, 0);
        let balances = balances(&database.db, &account).await.unwrap();
        let calls = Balance { account_id: account.to_string(), meter: API_CALLS.to_string(), granted: 30, consumed: 0 };
        assert!(balances.contains(&calls), "{balances:?}");
    }

    async fn each_account_has_its_own_credits(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        set(&database, &ada, EXPORTS, "pi_1", 100).await;
        assert_eq!((granted(&database, &ada).await, granted(&database, &eve).await), (100, 0));
    }

    async fn a_purchase_whose_transaction_is_rolled_back_grants_nothing(database) {
        let account = database.account("ada@example.com").await;
        let mut tx = database.db.begin().await.unwrap();
        set_granted(&mut tx, &account, EXPORTS, "pi_1", 100, NOW).await.unwrap();
        drop(tx);
        assert_eq!(granted(&database, &account).await, 0);
    }
}
