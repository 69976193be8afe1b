//! Billing changes reach the host's handler at least once and in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use billing::{AccountId, Status, Tier};
use engine::changes::{BillingChange, ChangeHandler};
use engine::clock::Clock;
use engine::store::Cursor;
use engine::store::billing_changes::{self as rows, ChangeFilter, ChangeState};
use engine::tasks::changes::deliver_due;

use crate::samples::{NOW, core};

/// The changes that a handler received, in order.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<BillingChange>>>);

impl Received {
    fn accepting(&self) -> ChangeHandler {
        self.accepting_if(|_| true)
    }

    /// A handler that accepts some changes and fails for others.
    fn accepting_if(&self, accepts: impl Fn(&BillingChange) -> bool + Send + Sync + 'static) -> ChangeHandler {
        let received = self.clone();
        ChangeHandler::new(move |change| {
            let is_accepted = accepts(&change);
            received.0.lock().unwrap().push(change);
            async move { if is_accepted { Ok(()) } else { Err("the handler failed".into()) } }
        })
    }

    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(BillingChange::id).collect()
    }
}

fn ids(account: &AccountId, numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{account}/{number}")).collect()
}

on_both_databases! {
    async fn changes_are_delivered_in_order_and_only_once(database) {
        let core = database.core(&Clock::manual(NOW));
        let ada = database.changed_account("ada", 3).await;
        let received = Received::default();
        for _ in 0..3 {
            assert_eq!(deliver_due(&core, &received.accepting()).await.unwrap(), 1);
        }
        assert_eq!(deliver_due(&core, &received.accepting()).await.unwrap(), 0);
        assert_eq!(received.ids(), ids(&ada, 1..=3));
        let all = received.0.lock().unwrap();
        assert_eq!((all[0].before.is_none(), &all[0].after.status), (true, &Status::Active));
        assert_eq!(all[1].before.as_ref(), Some(&all[0].after), "each begins where the one before ended");
        assert_eq!((all[1].cause.as_str(), all[1].at), ("evt_1", NOW));
        let (before, after) = all[1].tiers(core.catalog());
        assert_eq!((before, after), (Some(&Tier::new("PRO")), Some(&Tier::new("PRO"))));
    }

    async fn a_change_that_the_handler_does_not_accept_is_delivered_again_later(database) {
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        let ada = database.changed_account("ada", 2).await;
        let received = Received::default();
        let failing = received.accepting_if(|_| false);
        let mut now = NOW;
        for attempts in 1..=4_i64 {
            assert_eq!(deliver_due(&core, &failing).await.unwrap(), 1);
            assert_eq!(deliver_due(&core, &failing).await.unwrap(), 0, "not before its time");
            clock.set(now.plus_seconds((1 << attempts) - 1));
            assert_eq!(deliver_due(&core, &failing).await.unwrap(), 0, "after attempt {attempts}");
            // Up to a quarter is added as jitter, so that deliveries that failed together are not retried together.
            now = now.plus_seconds((1 << attempts) + (1 << attempts) / 4);
            clock.set(now);
        }
        assert_eq!(received.ids(), ids(&ada, [1; 4]));
        let filter = ChangeFilter { state: Some(ChangeState::Pending), account: None };
        let pending = rows::list(&database.db, &filter, &Cursor::start(), 9).await.unwrap();
        assert_eq!((pending[1].attempts, pending[1].last_error.as_deref()), (4, Some("the handler failed")));

        let accepting = received.accepting();
        while deliver_due(&core, &accepting).await.unwrap() > 0 {}
        assert_eq!(received.ids(), ids(&ada, [1, 1, 1, 1, 1, 2]));
    }

    async fn a_handler_panic_is_a_failure_and_does_not_block_other_accounts(database) {
        let core = database.core(&Clock::manual(NOW));
        let (ada, eve) = (database.changed_account("ada", 1).await, database.changed_account("eve", 1).await);
        let received = Received::default();
        let bad = ada.clone();
        let handler = received.accepting_if(move |change| {
            assert!(change.account != bad, "the handler of this test panics");
            true
        });
        assert_eq!(deliver_due(&core, &handler).await.unwrap(), 2);
        assert_eq!(received.ids(), ids(&eve, [1]));
        let failing = rows::failing(&database.db).await.unwrap();
        assert_eq!(failing.count, 1);
    }

    async fn a_panic_in_the_handlers_future_is_a_failure_too(database) {
        let core = database.core(&Clock::manual(NOW));
        database.changed_account("ada", 1).await;
        let handler = ChangeHandler::new(|_| async { panic!("the handler of this test panics") });
        assert_eq!(deliver_due(&core, &handler).await.unwrap(), 1);
        let pending = rows::list(&database.db, &ChangeFilter::default(), &Cursor::start(), 9).await.unwrap();
        assert!(pending[0].last_error.as_deref().is_some_and(|error| error.contains("panicked")), "{pending:?}");
    }

    async fn two_nodes_deliver_each_change_once_and_in_order(database) {
        let mut expected = BTreeMap::new();
        for name in ["ada", "bob", "eve"] {
            let account = database.changed_account(name, 6).await;
            expected.insert(account.to_string(), (1..=6).collect::<Vec<i64>>());
        }
        let other = database.another_node().await;
        let clock = Clock::manual(NOW);
        let received = Received::default();
        let mut nodes = tokio::task::JoinSet::new();
        for core in [database.core(&clock), core(other.clone(), &clock)] {
            let handler = received.accepting();
            let pending = ChangeFilter { state: Some(ChangeState::Pending), account: None };
            nodes.spawn(async move {
                while !rows::list(core.db(), &pending, &Cursor::start(), 1).await.unwrap().is_empty() {
                    deliver_due(&core, &handler).await.unwrap();
                }
            });
        }
        nodes.join_all().await;
        let mut delivered: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for change in received.0.lock().unwrap().iter() {
            delivered.entry(change.account.to_string()).or_default().push(change.number);
        }
        assert_eq!(delivered, expected);
        other.close().await;
    }

    /// A node crashes between the handler's success and the commit.
    async fn a_change_whose_delivery_was_never_recorded_is_delivered_again_under_the_same_id(database) {
        let clock = Clock::manual(NOW);
        let core = database.core(&clock);
        let ada = database.changed_account("ada", 1).await;
        let claimed = rows::claim(&database.db, "killed", NOW, NOW.plus_seconds(60), 9).await.unwrap();
        let received = Received::default();
        assert_eq!(deliver_due(&core, &received.accepting()).await.unwrap(), 0, "another node holds it");
        clock.set(NOW.plus_seconds(60));
        assert_eq!(deliver_due(&core, &received.accepting()).await.unwrap(), 1);
        assert_eq!(received.ids(), ids(&ada, [claimed[0].number]));
    }
}
