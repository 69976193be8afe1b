//! A notice is raised once per window, and shown until it is dismissed or no longer true.

use billing::{AccountId, Meter};
use engine::Core;
use engine::clock::Clock;
use engine::metering::{self, Recorded, Threshold, UsageEvent};
use engine::tasks::sweeper;

use crate::databases::concurrently;
use crate::samples::{API_CALLS, JUNE, NOW, pro};

/// The notices that are shown, by meter and threshold.
async fn shown(core: &Core, account: &AccountId) -> Vec<(Meter, Threshold)> {
    let entitlement = core.entitlement(account).await.unwrap();
    let overview = metering::overview(core, account, &entitlement).await.unwrap();
    overview.notices.into_iter().map(|notice| (notice.reading.meter, notice.threshold)).collect()
}

async fn record(core: &Core, account: &AccountId, quantity: u64, key: &str) {
    let recorded = metering::record(core, account, UsageEvent::new(API_CALLS, quantity, key)).await.unwrap();
    assert!(matches!(recorded, Recorded::Counted(_)), "{recorded:?}");
}

on_both_databases! {
    async fn eighty_and_a_hundred_percent_each_raise_a_notice(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 79, "a").await;
        assert_eq!(shown(&core, &account).await, []);
        record(&core, &account, 1, "b").await;
        assert_eq!(shown(&core, &account).await, [(API_CALLS, Threshold::Near)]);
        record(&core, &account, 20, "c").await;
        assert_eq!(shown(&core, &account).await, [(API_CALLS, Threshold::Reached)]);
    }

    async fn a_dismissed_notice_is_hidden_until_the_next_threshold_or_the_next_window(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        record(&core, &account, 80, "a").await;
        metering::dismiss_notice(&core, &account, API_CALLS, Threshold::Near).await.unwrap();
        assert_eq!(shown(&core, &account).await, []);
        record(&core, &account, 1, "b").await;
        assert_eq!(shown(&core, &account).await, [], "once per window");
        record(&core, &account, 19, "c").await;
        assert_eq!(shown(&core, &account).await, [(API_CALLS, Threshold::Reached)]);
        metering::dismiss_notice(&core, &account, API_CALLS, Threshold::Reached).await.unwrap();
        assert_eq!(shown(&core, &account).await, []);

        clock.set(JUNE);
        record(&core, &account, 85, "d").await;
        assert_eq!(shown(&core, &account).await, [(API_CALLS, Threshold::Near)]);
    }

    async fn a_higher_limit_hides_a_notice(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        record(&core, &account, 100, "a").await;
        assert_eq!(shown(&core, &account).await.len(), 1);
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);
        core.cache().invalidation().invalidate(account.as_str());
        assert_eq!(shown(&core, &account).await, []);
    }

    async fn concurrent_requests_that_reach_a_threshold_raise_one_notice(database) {
        let (core, account) = (database.core(&Clock::manual(NOW)), database.account("ada@example.com").await);
        concurrently(100, |n| {
            let (core, account) = (core.clone(), account.clone());
            async move { record(&core, &account, 1, &format!("key {n}")).await }
        })
        .await;
        assert_eq!(shown(&core, &account).await, [(API_CALLS, Threshold::Reached)]);
    }

    async fn old_notices_are_pruned(database) {
        let clock = Clock::manual(NOW);
        let (core, account) = (database.core(&clock), database.account("ada@example.com").await);
        record(&core, &account, 100, "a").await;
        let count = async || database.texts("SELECT meter FROM usage_notice").await.len();
        clock.set(NOW.plus_days(390));
        sweeper::prune(&core).await.unwrap();
        assert_eq!(count().await, 2);
        clock.set(NOW.plus_days(440));
        sweeper::prune(&core).await.unwrap();
        assert_eq!(count().await, 0);
    }

    async fn dismissing_a_notice_does_not_affect_other_accounts(database) {
        let core = database.core(&Clock::manual(NOW));
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        record(&core, &ada, 80, "a").await;
        metering::dismiss_notice(&core, &eve, API_CALLS, Threshold::Reached).await.unwrap();
        assert_eq!(shown(&core, &ada).await.len(), 1);
    }
}
