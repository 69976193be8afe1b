//! The task that delivers billing changes: it survives failures of the host's handler, and a slow account
//! delays only itself.

use std::sync::{Arc, Mutex};

use billing::AccountId;
use engine::Core;
use engine::changes::ChangeHandler;
use engine::clock::Clock;
use engine::store::Cursor;
use engine::store::billing_changes::{self as rows, ChangeFilter, ChangeState};
use engine::tasks::changes;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::databases::{TestDatabase, until};
use crate::samples::{NOW, core};

/// The numbers that the handler accepted, by account, in order.
#[derive(Clone, Default)]
struct Accepted(Arc<Mutex<Vec<(AccountId, i64)>>>);

impl Accepted {
    fn add(&self, account: AccountId, number: i64) {
        self.0.lock().unwrap().push((account, number));
    }

    fn of(&self, account: &AccountId) -> Vec<i64> {
        let accepted = self.0.lock().unwrap();
        accepted.iter().filter(|(of, _)| of == account).map(|(_, number)| *number).collect()
    }

    async fn until(&self, account: &AccountId, numbers: &[i64]) {
        until(&format!("{numbers:?} are accepted"), || async { self.of(account) == numbers }).await;
    }
}

/// The task, running.
struct Task {
    core: Arc<Core>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Task {
    fn start(core: Arc<Core>, handler: ChangeHandler) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(changes::run(Arc::clone(&core), handler, stop.clone()));
        Self { core, stop, running }
    }

    /// Wakes the task, as the commit of a change does.
    fn wake(&self) {
        self.core.wake_changes().notify_one();
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.expect("the task does not panic");
    }
}

/// The states of an account's changes, the first one first.
async fn states(database: &TestDatabase, account: &AccountId) -> Vec<ChangeState> {
    let filter = ChangeFilter { state: None, account: Some(account.clone()) };
    let newest_first = rows::list(&database.db, &filter, &Cursor::start(), 99).await.unwrap();
    newest_first.into_iter().rev().map(|change| change.state).collect()
}

on_both_databases! {
    async fn every_change_is_delivered_without_a_further_wake_up(database) {
        let (ada, bob) = (database.changed_account("ada", 3).await, database.changed_account("bob", 2).await);
        let accepted = Accepted::default();
        let log = accepted.clone();
        let handler = ChangeHandler::new(move |change| {
            log.add(change.account, change.number);
            async { Ok(()) }
        });
        let task = Task::start(database.core(&Clock::manual(NOW)), handler);
        accepted.until(&ada, &[1, 2, 3]).await;
        accepted.until(&bob, &[1, 2]).await;
        let eve = database.changed_account("eve", 1).await;
        task.wake();
        accepted.until(&eve, &[1]).await;
        task.end().await;
        assert_eq!(states(&database, &ada).await, [ChangeState::Delivered; 3]);
    }

    async fn an_account_whose_handler_hangs_delays_only_itself(database) {
        let (ada, bob) = (database.changed_account("ada", 2).await, database.changed_account("bob", 3).await);
        let (accepted, gate) = (Accepted::default(), Arc::new(Semaphore::new(0)));
        let (log, closed, slow) = (accepted.clone(), Arc::clone(&gate), ada.clone());
        let handler = ChangeHandler::new(move |change| {
            let (log, gate, is_slow) = (log.clone(), Arc::clone(&closed), change.account == slow);
            async move {
                if is_slow {
                    gate.acquire().await?.forget();
                }
                log.add(change.account, change.number);
                Ok(())
            }
        });
        let task = Task::start(database.core(&Clock::manual(NOW)), handler);
        accepted.until(&bob, &[1, 2, 3]).await;
        let eve = database.changed_account("eve", 2).await;
        task.wake();
        accepted.until(&eve, &[1, 2]).await;
        assert!(accepted.of(&ada).is_empty(), "its handler hangs");
        gate.add_permits(2);
        accepted.until(&ada, &[1, 2]).await;
        task.end().await;
    }

    /// Fails in each way in which a handler can fail, and then succeeds.
    async fn a_handler_that_fails_is_called_again_and_does_not_end_the_task(database) {
        let (ada, bob) = (database.changed_account("ada", 2).await, database.changed_account("bob", 1).await);
        let (clock, accepted) = (Clock::manual(NOW), Accepted::default());
        let calls = Arc::new(Mutex::new(0));
        let (log, counted, failing) = (accepted.clone(), Arc::clone(&calls), ada.clone());
        let handler = ChangeHandler::new(move |change| {
            let is_failing = change.account == failing && change.number == 1;
            let call = {
                let mut calls = counted.lock().unwrap();
                *calls += i32::from(is_failing);
                if is_failing { *calls } else { 0 }
            };
            assert!(call != 1, "before there is a future");
            let log = log.clone();
            async move {
                match call {
                    2 => panic!("in the future"),
                    3 => Err("rejected".into()),
                    _ => {
                        log.add(change.account, change.number);
                        Ok(())
                    }
                }
            }
        });
        let task = Task::start(database.core(&clock), handler);
        accepted.until(&bob, &[1]).await;
        for (attempts, error) in [(1, "before there is a future"), (2, "in the future"), (3, "rejected")] {
            until(&format!("attempt {attempts} is recorded"), || async {
                let filter = ChangeFilter { state: Some(ChangeState::Pending), account: Some(ada.clone()) };
                let pending = rows::list(&database.db, &filter, &Cursor::start(), 9).await.unwrap();
                let first = pending.last().expect("it is pending");
                first.attempts == attempts && first.last_error.as_ref().is_some_and(|last| last.contains(error))
            })
            .await;
            assert!(accepted.of(&ada).is_empty(), "the second change waits for the first");
            clock.set(clock.now().plus_seconds(3600));
            task.wake();
        }
        accepted.until(&ada, &[1, 2]).await;
        assert_eq!(*calls.lock().unwrap(), 4);
        task.end().await;
    }

    async fn an_operator_can_retry_a_change_before_its_time_or_skip_it(database) {
        let (ada, bob) = (database.changed_account("ada", 2).await, database.changed_account("bob", 2).await);
        let (accepted, is_repaired) = (Accepted::default(), Arc::new(Mutex::new(false)));
        let (log, repaired) = (accepted.clone(), Arc::clone(&is_repaired));
        let handler = ChangeHandler::new(move |change| {
            let fails = change.number == 1 && !*repaired.lock().unwrap();
            let log = log.clone();
            async move {
                if fails {
                    return Err("broken".into());
                }
                log.add(change.account, change.number);
                Ok(())
            }
        });
        let task = Task::start(database.core(&Clock::manual(NOW)), handler);
        let failing = async || rows::failing(&database.db).await.unwrap().count;
        until("both have failed", || async { failing().await == 2 }).await;

        let mut tx = database.db.begin().await.unwrap();
        assert!(rows::skip(&mut tx, &ada, 1, NOW).await.unwrap());
        tx.commit().await.unwrap();
        task.wake();
        accepted.until(&ada, &[2]).await;

        *is_repaired.lock().unwrap() = true;
        let mut tx = database.db.begin().await.unwrap();
        assert!(rows::retry(&mut tx, &bob, 1, NOW).await.unwrap());
        tx.commit().await.unwrap();
        task.wake();
        accepted.until(&bob, &[1, 2]).await;
        task.end().await;
        assert_eq!(states(&database, &ada).await, [ChangeState::Skipped, ChangeState::Delivered]);
        assert_eq!(states(&database, &bob).await, [ChangeState::Delivered; 2]);
    }

    async fn stopping_waits_for_a_delivery_in_progress(database) {
        let ada = database.changed_account("ada", 2).await;
        let (called, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (calls, closed) = (Arc::clone(&called), Arc::clone(&gate));
        let handler = ChangeHandler::new(move |_| {
            calls.add_permits(1);
            let gate = Arc::clone(&closed);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        });
        let task = Task::start(database.core(&Clock::manual(NOW)), handler);
        called.acquire().await.unwrap().forget();
        task.stop.cancel();
        gate.add_permits(9);
        task.end().await;
        assert_eq!(states(&database, &ada).await, [ChangeState::Delivered, ChangeState::Pending]);
        assert_eq!(called.available_permits(), 0, "no further delivery begins");
    }

    /// The process was killed while the handler ran, which may or may not have acted.
    async fn a_delivery_interrupted_by_a_restart_is_repeated(database) {
        let ada = database.changed_account("ada", 2).await;
        let (clock, called) = (Clock::manual(NOW), Arc::new(Semaphore::new(0)));
        let calls = Arc::clone(&called);
        let hanging = ChangeHandler::new(move |_| {
            calls.add_permits(1);
            std::future::pending()
        });
        let killed = Task::start(database.core(&clock), hanging);
        called.acquire().await.unwrap().forget();
        killed.running.abort();
        assert!(killed.running.await.unwrap_err().is_cancelled());

        let accepted = Accepted::default();
        let log = accepted.clone();
        let handler = ChangeHandler::new(move |change| {
            log.add(change.account, change.number);
            async { Ok(()) }
        });
        let node = database.another_node().await;
        let task = Task::start(core(node.clone(), &clock), handler);
        clock.set(NOW.plus_seconds(60));
        task.wake();
        accepted.until(&ada, &[1, 2]).await;
        task.end().await;
        node.close().await;
    }
}
