//! Password hashing that leaves the machine to everything else.
//!
//! A hash takes 19 MiB and a core for some 20 ms, and anyone can ask for one. So only a few are computed
//! at the same time, the others wait briefly, and then they are refused. Nothing of the database is held
//! meanwhile.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The limits on password hashing.
#[derive(Clone, Copy, Debug)]
pub struct HashingLimits {
    /// Hashes computed at the same time.
    pub parallel: usize,
    /// How long another one waits.
    pub wait: Duration,
}

impl Default for HashingLimits {
    /// As many as the machine has cores: more would only take longer each.
    fn default() -> Self {
        Self { parallel: available_parallelism().map_or(1, NonZeroUsize::get), wait: Duration::from_secs(3) }
    }
}

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many others are being hashed.
    #[error("too many passwords are being hashed")]
    Busy,
    /// It was interrupted.
    #[error("the password could not be hashed")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Where passwords are hashed.
#[derive(Debug)]
pub(crate) struct Hashing {
    slots: Arc<Semaphore>,
    wait: Duration,
}

impl Hashing {
    pub(crate) fn new(limits: HashingLimits) -> Self {
        Self { slots: Arc::new(Semaphore::new(limits.parallel)), wait: limits.wait }
    }

    /// Runs `work` on a thread that may block, once it is its turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let turn = timeout(self.wait, Arc::clone(&self.slots).acquire_owned());
        // It is never closed, so that the inner error cannot occur.
        let slot = turn.await.map_err(|_| HashingError::Busy)?.ok();
        // The slot belongs to the work, which goes on when the client hangs up: otherwise clients that
        // hang up could start any number.
        let work = move || {
            let done = work();
            drop(slot);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(HashingError::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    fn one_at_a_time() -> Arc<Hashing> {
        Arc::new(Hashing::new(HashingLimits { parallel: 1, wait: Duration::ZERO }))
    }

    #[tokio::test]
    async fn work_that_nothing_waits_for_still_has_its_slot() {
        let hashing = one_at_a_time();
        let (started, has_started) = oneshot::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let client = tokio::spawn({
            let hashing = Arc::clone(&hashing);
            async move {
                let work = move || {
                    started.send(()).unwrap();
                    let _ = may_finish.recv();
                };
                hashing.run(work).await
            }
        });
        has_started.await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert!(matches!(hashing.run(|| ()).await, Err(HashingError::Busy)));

        finish.send(()).unwrap();
        drop(hashing.slots.acquire().await.unwrap());
        assert!(hashing.run(|| ()).await.is_ok());
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_slot_back() {
        let hashing = one_at_a_time();
        let panicked = hashing.run(|| panic!("on purpose")).await;
        assert!(matches!(panicked, Err::<(), _>(HashingError::Interrupted(_))));
        assert!(hashing.run(|| ()).await.is_ok());
    }
}
