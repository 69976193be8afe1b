//! A notice is raised once per window, and shown until it is dismissed or no longer true.

use billing::{AccountId, Meter, Timestamp};
use server::Tollgate;
use server::clock::Clock;
use server::product::API_CALLS;
use server::usage::{Recorded, Threshold};

use crate::engines::{NOW, at_once, pro};

/// What is shown on the pages.
async fn shown(tollgate: &Tollgate, account: &AccountId) -> Vec<(Meter, Threshold)> {
    let overview = tollgate.billing_overview(account).await.unwrap();
    overview.notices.into_iter().map(|notice| (notice.reading.meter, notice.threshold)).collect()
}

async fn record(tollgate: &Tollgate, account: &AccountId, quantity: u64, key: &str) {
    let recorded = tollgate.record_usage(account, API_CALLS, quantity, key).await.unwrap();
    assert!(matches!(recorded, Recorded::Counted(_)), "{recorded:?}");
}

on_both_engines! {
    async fn eighty_and_a_hundred_percent_raise_a_notice_each(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 79, "a").await;
        assert_eq!(shown(&tollgate, &account).await, []);
        record(&tollgate, &account, 1, "b").await;
        assert_eq!(shown(&tollgate, &account).await, [(API_CALLS, Threshold::Near)]);
        record(&tollgate, &account, 20, "c").await;
        assert_eq!(shown(&tollgate, &account).await, [(API_CALLS, Threshold::Reached)]);
    }

    async fn a_dismissed_notice_stays_away_until_the_next_threshold_or_the_next_window(store) {
        let clock = Clock::manual(NOW);
        let (tollgate, account) = (store.tollgate(&clock), store.account("ada@example.com").await);
        record(&tollgate, &account, 80, "a").await;
        tollgate.dismiss_notice(&account, API_CALLS, Threshold::Near).await.unwrap();
        assert_eq!(shown(&tollgate, &account).await, []);
        record(&tollgate, &account, 1, "b").await;
        assert_eq!(shown(&tollgate, &account).await, [], "once per window");
        record(&tollgate, &account, 19, "c").await;
        assert_eq!(shown(&tollgate, &account).await, [(API_CALLS, Threshold::Reached)]);
        tollgate.dismiss_notice(&account, API_CALLS, Threshold::Reached).await.unwrap();
        assert_eq!(shown(&tollgate, &account).await, []);

        clock.set(Timestamp(1_780_272_000));
        record(&tollgate, &account, 85, "d").await;
        assert_eq!(shown(&tollgate, &account).await, [(API_CALLS, Threshold::Near)]);
    }

    async fn a_higher_limit_makes_a_notice_untrue(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        record(&tollgate, &account, 100, "a").await;
        assert_eq!(shown(&tollgate, &account).await.len(), 1);
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        tollgate.access().forget(&account).await;
        assert_eq!(shown(&tollgate, &account).await, []);
    }

    async fn many_who_cross_it_at_once_raise_it_once(store) {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        at_once(100, |n| {
            let (tollgate, account) = (tollgate.clone(), account.clone());
            async move { record(&tollgate, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(shown(&tollgate, &account).await, [(API_CALLS, Threshold::Reached)]);
    }

    async fn one_account_does_not_dismiss_anothers(store) {
        let tollgate = store.tollgate(&Clock::manual(NOW));
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        record(&tollgate, &ada, 80, "a").await;
        tollgate.dismiss_notice(&eve, API_CALLS, Threshold::Reached).await.unwrap();
        assert_eq!(shown(&tollgate, &ada).await.len(), 1);
    }
}
