//! Keeps background tasks running.
//!
//! A task that ends early, by a panic or by returning, is restarted with backoff. [`Tasks::health`] reports
//! the running tasks.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The delay before the first restart of a task.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay before a restart.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Background tasks and their health. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    health: Mutex<Vec<TaskHealth>>,
    delays: Delays,
}

/// The delays before restarts.
#[derive(Clone, Copy, Debug)]
struct Delays {
    first: Duration,
    max: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self { first: FIRST_DELAY, max: MAX_DELAY }
    }
}

impl Delays {
    /// Returns the delay after a run, given the delay before it. After a long run it is back to the shortest.
    fn after(self, ran_for: Duration, previous: Option<Duration>) -> Duration {
        match previous {
            Some(previous) if ran_for <= self.max => (previous * 2).min(self.max),
            _ => self.first,
        }
    }
}

/// The health of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHealth {
    /// The task's name.
    pub name: &'static str,
    /// Whether it is running; `false` while it waits for a restart.
    pub is_running: bool,
    /// The number of times it has ended early.
    pub restarts: u32,
    /// The reason it last ended early.
    pub last_error: Option<String>,
}

impl Tasks {
    /// Starts a task that runs until `stop`. If it ends before that, `start` is called again.
    pub fn supervise<F>(&self, name: &'static str, stop: &CancellationToken, start: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tasks, stop) = (self.clone(), stop.clone());
        let place = {
            let mut health = tasks.lock();
            health.push(TaskHealth { name, is_running: true, restarts: 0, last_error: None });
            health.len() - 1
        };
        let supervisor = async move {
            let mut delay = None;
            loop {
                let started = Instant::now();
                // The call itself may panic too, before there is a future.
                let running = std::panic::catch_unwind(AssertUnwindSafe(&start));
                let ended = match running {
                    Ok(running) => AssertUnwindSafe(running).catch_unwind().await,
                    Err(panic) => Err(panic),
                };
                if stop.is_cancelled() {
                    return;
                }
                let error = ended.err().map_or_else(|| "it returned".to_owned(), |panic| message(&*panic));
                tracing::error!(task = name, error, "a background task ended early; restarting it");
                tasks.update(place, |health| {
                    health.is_running = false;
                    health.restarts += 1;
                    health.last_error = Some(error);
                });
                let wait = *delay.insert(tasks.0.delays.after(started.elapsed(), delay));
                if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return;
                }
                tasks.update(place, |health| health.is_running = true);
            }
        };
        self.0.tracker.spawn(supervisor);
    }

    /// Returns the health of all tasks, in the order in which they were started.
    pub fn health(&self) -> Vec<TaskHealth> {
        self.lock().clone()
    }

    /// Waits until all tasks have stopped.
    pub async fn wait(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TaskHealth>> {
        self.0.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, place: usize, change: impl FnOnce(&mut TaskHealth)) {
        if let Some(health) = self.lock().get_mut(place) {
            change(health);
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A task whose first `failures` runs end early, and whose later runs wait for `stop`.
    fn failing(tasks: &Tasks, stop: &CancellationToken, failures: u32) -> Arc<AtomicU32> {
        let runs = Arc::new(AtomicU32::new(0));
        let (counted, until) = (Arc::clone(&runs), stop.clone());
        tasks.supervise("worker", stop, move || {
            let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
            let until = until.clone();
            async move {
                match run {
                    run if run > failures => until.cancelled().await,
                    run if run % 2 == 1 => panic!("run {run}"),
                    _ => {}
                }
            }
        });
        runs
    }

    fn waiting_for(first: Duration) -> Tasks {
        Tasks(Arc::new(Inner { delays: Delays { first, max: first }, ..Inner::default() }))
    }

    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_started_again() {
        let (tasks, stop) = (waiting_for(Duration::ZERO), CancellationToken::new());
        let runs = failing(&tasks, &stop, 3);
        until(|| runs.load(Ordering::SeqCst) == 4).await;
        let health = tasks.health().remove(0);
        assert!(health.is_running, "{health:?}");
        assert_eq!(health.restarts, 3);
        assert_eq!(health.last_error.as_deref(), Some("it panicked: run 3"));
        stop.cancel();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_task_that_panics_before_its_future_exists_is_started_again() {
        let (tasks, stop) = (waiting_for(Duration::ZERO), CancellationToken::new());
        let (runs, until_stopped) = (Arc::new(AtomicU32::new(0)), stop.clone());
        let counted = Arc::clone(&runs);
        tasks.supervise("worker", &stop, move || {
            assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first run");
            until_stopped.clone().cancelled_owned()
        });
        until(|| runs.load(Ordering::SeqCst) == 2).await;
        let health = tasks.health().remove(0);
        assert_eq!((health.is_running, health.restarts), (true, 1), "{health:?}");
        assert_eq!(health.last_error.as_deref(), Some("it panicked: the first run"));
        stop.cancel();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_task_that_waits_to_be_started_again_is_not_running_and_can_be_stopped() {
        let (tasks, stop) = (waiting_for(MAX_DELAY * 60), CancellationToken::new());
        let runs = failing(&tasks, &stop, 1);
        until(|| !tasks.health()[0].is_running).await;
        stop.cancel();
        tasks.wait().await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_task_that_keeps_ending_is_restarted_less_and_less_often() {
        let mut delay = None;
        let delays: Vec<u64> =
            (0..9).map(|_| delay.insert(Delays::default().after(Duration::ZERO, delay)).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(Delays::default().after(MAX_DELAY * 2, delay), FIRST_DELAY, "after a long run");
    }

    #[tokio::test]
    async fn a_task_that_was_asked_to_stop_is_not_started_again() {
        let (tasks, stop) = (Tasks::default(), CancellationToken::new());
        let runs = failing(&tasks, &stop, 0);
        stop.cancel();
        tasks.wait().await;
        assert!(runs.load(Ordering::SeqCst) <= 1);
        assert_eq!(tasks.health()[0].restarts, 0);
    }
}
