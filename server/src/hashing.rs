//! Password hashing that does not starve everything else.
//!
//! A hash takes 19 MiB and a core for about 20 ms, and anyone can request one. So only a few are computed at
//! the same time; others wait briefly and are then rejected. No database connection is held in the meantime.

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
    /// The time that a further hash waits for a slot.
    pub wait: Duration,
}

impl Default for HashingLimits {
    /// One hash per core: with more, each would only take longer.
    fn default() -> Self {
        Self { parallel: available_parallelism().map_or(1, NonZeroUsize::get), wait: Duration::from_secs(3) }
    }
}

/// The reason a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many others are being hashed.
    #[error("too many passwords are being hashed")]
    Busy,
    /// It was interrupted.
    #[error("the password could not be hashed")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// The slots for password hashing.
#[derive(Debug)]
pub(crate) struct Hashing {
    slots: Arc<Semaphore>,
    wait: Duration,
}

impl Hashing {
    pub(crate) fn new(limits: HashingLimits) -> Self {
        Self { slots: Arc::new(Semaphore::new(limits.parallel)), wait: limits.wait }
    }

    /// Runs `work` on a blocking thread once there is a free slot.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let turn = timeout(self.wait, Arc::clone(&self.slots).acquire_owned());
        // The semaphore is never closed, so the inner error cannot occur.
        let slot = turn.await.map_err(|_| HashingError::Busy)?.ok();
        // The slot belongs to the work, which continues after the client disconnects: otherwise clients
        // that disconnect could start any number.
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
    async fn abandoned_work_keeps_its_slot() {
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
    async fn work_that_panics_frees_its_slot() {
        let hashing = one_at_a_time();
        let panicked = hashing.run(|| panic!("on purpose")).await;
        assert!(matches!(panicked, Err::<(), _>(HashingError::Interrupted(_))));
        assert!(hashing.run(|| ()).await.is_ok());
    }
}
