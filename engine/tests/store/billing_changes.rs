//! Billing changes are recorded with the revision, claimed in order per account, and settled once.

use billing::{AccountId, CustomerId, Status, Subscription, SubscriptionId, Timestamp};
use engine::ids;
use engine::store::billing_changes::{self as rows, ChangeFilter, ChangeState, Failing, StoredChange};
use engine::store::{Cursor, subscriptions};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{NOW, pro};

const LEASE: i64 = 60;
const STATUSES: [Status; 2] = [Status::Active, Status::PastDue];

async fn subscriber(database: &TestDatabase, name: &str) -> (AccountId, CustomerId) {
    let account = database.account(&format!("{name}@example.com")).await;
    let customer = database.customer(&account, &format!("cus_{name}")).await;
    (account, customer)
}

/// Writes a subscription with another status because of `cause`, and with it a change.
async fn change_at(database: &TestDatabase, account: &AccountId, id: &str, cause: &str, at: Timestamp) {
    let id = SubscriptionId::new(id);
    let seen = subscriptions::by_id(&database.db, &id).await.unwrap();
    let customer = CustomerId::new(id.as_str().replace("sub_", "cus_"));
    let status = STATUSES[usize::from(seen.as_ref().is_some_and(|seen| seen.object.status == Status::Active))].clone();
    let next = Subscription { status, ..pro(id.as_str(), &customer) };
    let mut tx = database.db.begin().await.unwrap();
    assert!(subscriptions::write(&mut tx, account, &next, seen.as_ref(), cause, at).await.unwrap());
    tx.commit().await.unwrap();
}

/// Changes an account's subscription a number of times.
async fn changes(database: &TestDatabase, name: &str, number: usize) -> AccountId {
    let (account, _) = subscriber(database, name).await;
    for n in 1..=number {
        change_at(database, &account, &format!("sub_{name}"), &format!("evt_{n}"), NOW).await;
    }
    account
}

async fn claim(database: &TestDatabase, owner: &str, now: Timestamp, limit: i64) -> Vec<StoredChange> {
    rows::claim(&database.db, owner, now, now.plus_seconds(LEASE), limit).await.unwrap()
}

/// Claims a change that must be the only one due.
async fn claim_one(database: &TestDatabase, owner: &str, now: Timestamp) -> StoredChange {
    let mut claimed = claim(database, owner, now, 10).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

async fn delivered(database: &TestDatabase, change: &StoredChange, owner: &str) {
    let mut tx = database.db.begin().await.unwrap();
    rows::delivered(&mut tx, change, owner, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn reschedule(database: &TestDatabase, change: &StoredChange, owner: &str, next: Timestamp) {
    let mut tx = database.db.begin().await.unwrap();
    rows::reschedule(&mut tx, change, owner, next, "the handler failed").await.unwrap();
    tx.commit().await.unwrap();
}

async fn retry(database: &TestDatabase, account: &AccountId, number: i64, now: Timestamp) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let is_pending = rows::retry(&mut tx, account, number, now).await.unwrap();
    tx.commit().await.unwrap();
    is_pending
}

async fn skip(database: &TestDatabase, account: &AccountId, number: i64) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let was_pending = rows::skip(&mut tx, account, number, NOW).await.unwrap();
    tx.commit().await.unwrap();
    was_pending
}

async fn prune(database: &TestDatabase, before: Timestamp, limit: i64) -> u64 {
    let mut tx = database.db.begin().await.unwrap();
    let deleted = rows::prune(&mut tx, before, limit).await.unwrap();
    tx.commit().await.unwrap();
    deleted
}

/// All changes of an account, the oldest first.
async fn all(database: &TestDatabase, account: &AccountId) -> Vec<StoredChange> {
    let filter = ChangeFilter { account: Some(account.clone()), state: None };
    let mut changes = rows::list(&database.db, &filter, &Cursor::start(), 100).await.unwrap();
    changes.reverse();
    changes
}

async fn states(database: &TestDatabase, account: &AccountId) -> Vec<ChangeState> {
    all(database, account).await.into_iter().map(|change| change.state).collect()
}

fn numbers(changes: &[StoredChange]) -> Vec<i64> {
    changes.iter().map(|change| change.number).collect()
}

on_both_databases! {
    async fn a_change_is_recorded_in_the_transaction_that_writes_the_revision(database) {
        let (account, customer) = subscriber(&database, "ada").await;
        let mut tx = database.db.begin().await.unwrap();
        assert!(subscriptions::write(&mut tx, &account, &pro("sub_ada", &customer), None, "evt_1", NOW).await.unwrap());
        drop(tx);
        assert!(all(&database, &account).await.is_empty(), "the transaction was rolled back");
        assert!(database.write(&account, &pro("sub_ada", &customer), None).await);
        assert_eq!(numbers(&all(&database, &account).await), [1]);
    }

    async fn a_change_holds_the_subscription_before_and_after_and_its_cause(database) {
        let (account, customer) = subscriber(&database, "ada").await;
        let first = pro("sub_ada", &customer);
        let canceled = Subscription { status: Status::Canceled, ..first.clone() };
        for (n, next) in [&first, &first, &canceled].into_iter().enumerate() {
            let seen = subscriptions::by_id(&database.db, &first.id).await.unwrap();
            let mut tx = database.db.begin().await.unwrap();
            let (cause, at) = (format!("evt_{n}"), NOW.plus_days(n as i64));
            assert!(subscriptions::write(&mut tx, &account, next, seen.as_ref(), &cause, at).await.unwrap());
            tx.commit().await.unwrap();
        }
        let changes = all(&database, &account).await;
        let [created, ended] = changes.as_slice() else { panic!("the second write changed nothing: {changes:?}") };
        assert_eq!((created.account.clone(), created.number, created.version), (account.clone(), 1, 1));
        assert_eq!((created.before.clone(), created.after.clone()), (None, first.clone()));
        assert_eq!((created.cause.as_str(), created.created_at), ("evt_0", NOW));
        assert_eq!((created.state, created.attempts, created.last_error.clone()), (ChangeState::Pending, 0, None));
        assert_eq!((ended.number, ended.version), (2, 3));
        assert_eq!((ended.before.clone(), ended.after.clone()), (Some(first), canceled));
        assert_eq!((ended.cause.as_str(), ended.created_at), ("evt_2", NOW.plus_days(2)));
    }

    async fn a_write_that_lost_a_race_records_no_change(database) {
        let (account, customer) = subscriber(&database, "ada").await;
        assert!(database.write(&account, &pro("sub_ada", &customer), None).await);
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_ada", &customer) };
        let written = concurrently(8, |_| {
            let (database, account, canceled) = (database.clone(), account.clone(), canceled.clone());
            async move { database.write(&account, &canceled, Some(1)).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(numbers(&all(&database, &account).await), [1, 2]);
    }

    async fn changes_of_two_subscriptions_of_an_account_have_one_order(database) {
        let (account, customer) = subscriber(&database, "ada").await;
        concurrently(8, |n| {
            let (database, account, customer) = (database.clone(), account.clone(), customer.clone());
            async move { assert!(database.write(&account, &pro(&format!("sub_{n}"), &customer), None).await) }
        })
        .await;
        assert_eq!(numbers(&all(&database, &account).await), (1..=8).collect::<Vec<_>>());
    }

    async fn changes_of_an_account_are_claimed_one_after_the_other(database) {
        let account = changes(&database, "ada", 3).await;
        for number in 1..=3 {
            let change = claim_one(&database, "worker", NOW).await;
            assert_eq!((&change.account, change.number, change.attempts), (&account, number, 1));
            assert!(claim(&database, "other", NOW, 10).await.is_empty(), "the next one waits");
            delivered(&database, &change, "worker").await;
        }
        assert!(claim(&database, "worker", NOW.plus_days(1), 10).await.is_empty());
        assert_eq!(states(&database, &account).await, [ChangeState::Delivered; 3]);
    }

    async fn changes_of_other_accounts_do_not_wait(database) {
        let mut accounts = Vec::new();
        for name in ["ada", "bob", "eve"] {
            accounts.push(changes(&database, name, 2).await);
        }
        let mut claimed = claim(&database, "one", NOW, 2).await;
        claimed.extend(claim(&database, "other", NOW, 10).await);
        assert_eq!(numbers(&claimed), [1, 1, 1]);
        let mut owners: Vec<AccountId> = claimed.into_iter().map(|change| change.account).collect();
        owners.sort();
        accounts.sort();
        assert_eq!(owners, accounts);
    }

    async fn the_change_that_has_been_due_longest_is_claimed_first(database) {
        for (name, at) in [("ada", 3), ("bob", 1), ("eve", 2)] {
            let (account, _) = subscriber(&database, name).await;
            change_at(&database, &account, &format!("sub_{name}"), "evt_1", NOW.plus_seconds(at)).await;
        }
        let later = NOW.plus_seconds(10);
        for name in ["sub_bob", "sub_eve", "sub_ada"] {
            let claimed = claim(&database, "worker", later, 1).await;
            assert_eq!(claimed[0].after.id.as_str(), name);
        }
        assert!(claim(&database, "worker", later, 1).await.is_empty());
    }

    async fn concurrent_workers_never_hold_the_same_change(database) {
        for n in 0..10 {
            changes(&database, &format!("user{n}"), 3).await;
        }
        let handled = concurrently(4, |worker| {
            let database = database.clone();
            async move {
                let (owner, mut mine) = (format!("worker {worker}"), Vec::new());
                loop {
                    let claimed = claim(&database, &owner, NOW, 3).await;
                    for change in &claimed {
                        assert_eq!(change.attempts, 1, "two workers held {change:?}");
                        delivered(&database, change, &owner).await;
                        mine.push((change.account.to_string(), change.number));
                    }
                    if claimed.is_empty()
                        && rows::list(&database.db, &pending(), &Cursor::start(), 1).await.unwrap().is_empty()
                    {
                        return mine;
                    }
                }
            }
        })
        .await
        .concat();
        let mut unique = handled.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((handled.len(), unique.len()), (30, 30));
    }

    async fn the_change_of_a_worker_that_crashed_is_claimed_when_its_lease_ends(database) {
        changes(&database, "ada", 2).await;
        let held = claim_one(&database, "killed", NOW).await;
        let end = NOW.plus_seconds(LEASE);
        assert!(claim(&database, "other", end.plus_seconds(-1), 10).await.is_empty());
        let again = claim_one(&database, "other", end).await;
        assert_eq!((again.number, again.attempts), (held.number, 2), "the dead worker's attempt counts");
    }

    async fn a_worker_that_lost_its_lease_settles_nothing(database) {
        let account = changes(&database, "ada", 1).await;
        let lost = claim_one(&database, "slow", NOW).await;
        let held = claim_one(&database, "other", NOW.plus_seconds(LEASE)).await;
        delivered(&database, &lost, "slow").await;
        reschedule(&database, &lost, "slow", NOW.plus_days(9)).await;
        let now = &all(&database, &account).await[0];
        assert_eq!((now.state, now.last_error.clone()), (ChangeState::Pending, None));
        delivered(&database, &held, "other").await;
        assert_eq!(states(&database, &account).await, [ChangeState::Delivered]);
    }

    async fn a_change_that_failed_waits_for_its_time_and_the_next_ones_with_it(database) {
        let account = changes(&database, "ada", 2).await;
        let first = claim_one(&database, "worker", NOW).await;
        let next = NOW.plus_seconds(8);
        reschedule(&database, &first, "worker", next).await;
        assert!(claim(&database, "worker", next.plus_seconds(-1), 10).await.is_empty());
        let failing = rows::failing(&database.db).await.unwrap();
        assert_eq!(failing, Failing { count: 1, oldest: Some(NOW) });
        let again = claim_one(&database, "worker", next).await;
        assert_eq!((again.number, again.attempts, again.last_error.as_deref()), (1, 2, Some("the handler failed")));

        delivered(&database, &again, "worker").await;
        assert_eq!(rows::failing(&database.db).await.unwrap(), Failing { count: 0, oldest: None });
        assert_eq!(all(&database, &account).await[0].last_error, None, "an error that is over is not shown");
        assert_eq!(claim_one(&database, "worker", next).await.number, 2);
    }

    /// A worker that saw the change due, but comes after another that failed and rescheduled it.
    async fn workers_that_race_for_a_failing_change_try_it_once_per_due_time(database) {
        for round in 0..20 {
            let account = changes(&database, &format!("user{round}"), 1).await;
            let attempts: usize = concurrently(4, |_| {
                let (database, account) = (database.clone(), account.clone());
                async move {
                    let owner = ids::new_id();
                    let claimed = claim(&database, &owner, NOW, 10).await;
                    for change in &claimed {
                        reschedule(&database, change, &owner, NOW.plus_days(1)).await;
                    }
                    claimed.iter().filter(|change| change.account == account).count()
                }
            })
            .await
            .into_iter()
            .sum();
            assert!(attempts <= 1, "round {round}: tried {attempts} times");
        }
    }

    async fn a_pending_change_can_be_made_due(database) {
        let account = changes(&database, "ada", 1).await;
        let change = claim_one(&database, "worker", NOW).await;
        assert!(retry(&database, &account, 1, NOW).await);
        assert!(claim(&database, "other", NOW, 10).await.is_empty(), "the worker that holds it keeps it");
        reschedule(&database, &change, "worker", NOW.plus_days(1)).await;
        assert!(retry(&database, &account, 1, NOW.plus_seconds(5)).await);
        assert!(claim(&database, "worker", NOW, 10).await.is_empty());
        let change = claim_one(&database, "worker", NOW.plus_seconds(5)).await;
        delivered(&database, &change, "worker").await;
        assert!(!retry(&database, &account, 1, NOW).await, "it was delivered");
        assert!(!retry(&database, &account, 2, NOW).await, "it does not exist");
        assert!(!retry(&database, &AccountId::new("none"), 1, NOW).await);
    }

    async fn skipping_a_change_makes_the_next_one_due(database) {
        let account = changes(&database, "ada", 3).await;
        assert!(skip(&database, &account, 1).await);
        assert!(!skip(&database, &account, 1).await, "once");
        let second = claim_one(&database, "worker", NOW).await;
        assert_eq!(second.number, 2);
        assert!(skip(&database, &account, 2).await, "also while a worker holds it");
        assert_eq!(claim_one(&database, "other", NOW).await.number, 3);
        delivered(&database, &second, "worker").await;
        reschedule(&database, &second, "worker", NOW).await;
        use ChangeState::{Pending, Skipped};
        assert_eq!(states(&database, &account).await, [Skipped, Skipped, Pending]);
        assert!(!skip(&database, &account, 4).await && !skip(&database, &AccountId::new("none"), 1).await);
    }

    /// One account must not block the others.
    async fn a_change_that_cannot_be_read_blocks_only_its_own_account(database) {
        let (ada, bob) = (changes(&database, "ada", 1).await, changes(&database, "bob", 1).await);
        database
            .execute(&format!("UPDATE subscription_revision SET snapshot = '{{}}' WHERE account_id = '{ada}'"))
            .await;
        assert_eq!(claim_one(&database, "worker", NOW).await.account, bob);
        assert!(rows::list(&database.db, &ChangeFilter::default(), &Cursor::start(), 9).await.is_err());
    }

    async fn changes_are_listed_newest_first_by_state_and_account(database) {
        let (ada, bob) = (changes(&database, "ada", 2).await, changes(&database, "bob", 1).await);
        change_at(&database, &ada, "sub_ada", "evt_late", NOW.plus_seconds(1)).await;
        for change in claim(&database, "worker", NOW, 10).await {
            delivered(&database, &change, "worker").await;
        }
        assert!(skip(&database, &ada, 2).await);
        let list = async |state, account: Option<&AccountId>| {
            let filter = ChangeFilter { state, account: account.cloned() };
            numbers(&rows::list(&database.db, &filter, &Cursor::start(), 10).await.unwrap())
        };
        assert_eq!(list(None, Some(&ada)).await, [3, 2, 1]);
        assert_eq!(list(None, Some(&bob)).await, [1]);
        assert_eq!(list(Some(ChangeState::Delivered), None).await, [1, 1]);
        assert_eq!(list(Some(ChangeState::Skipped), None).await, [2]);
        assert_eq!(list(Some(ChangeState::Pending), None).await, [3]);
        assert_eq!(list(Some(ChangeState::Pending), Some(&bob)).await, Vec::<i64>::new());
    }

    async fn pages_of_changes_join_without_a_gap_and_count_beyond_nine(database) {
        for name in ["ada", "bob"] {
            changes(&database, name, 12).await;
        }
        let everything = rows::list(&database.db, &ChangeFilter::default(), &Cursor::start(), 100).await.unwrap();
        for account in [0, 12] {
            assert_eq!(
                numbers(&everything[account..account + 12]),
                (1..=12).rev().collect::<Vec<_>>(),
                "all in one second"
            );
        }
        let place = |change: &StoredChange| (change.account.to_string(), change.number);
        for size in [1, 5, 24] {
            let (mut after, mut seen) = (Cursor::start(), Vec::new());
            loop {
                let page = rows::list(&database.db, &ChangeFilter::default(), &after, size).await.unwrap();
                let Some(last) = page.last() else { break };
                after = rows::cursor(last);
                seen.extend(page.iter().map(place));
            }
            assert_eq!(seen, everything.iter().map(place).collect::<Vec<_>>(), "in pages of {size}");
        }
    }

    async fn settled_changes_are_pruned_in_batches_and_pending_ones_never(database) {
        let account = changes(&database, "ada", 4).await;
        for _ in 0..2 {
            let change = claim_one(&database, "worker", NOW).await;
            delivered(&database, &change, "worker").await;
        }
        assert!(skip(&database, &account, 3).await);
        assert_eq!(prune(&database, NOW, 10).await, 0, "settled at this moment");
        let later = NOW.plus_seconds(1);
        assert_eq!((prune(&database, later, 2).await, prune(&database, later, 2).await), (2, 1));
        assert_eq!(prune(&database, NOW.plus_days(999), 2).await, 0);
        assert_eq!(numbers(&all(&database, &account).await), [4]);
        change_at(&database, &account, "sub_ada", "evt_5", NOW).await;
        assert_eq!(numbers(&all(&database, &account).await), [4, 5], "numbers are not used twice");
    }
}

fn pending() -> ChangeFilter {
    ChangeFilter { state: Some(ChangeState::Pending), account: None }
}
