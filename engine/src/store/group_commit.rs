//! Group commit: many requests, one transaction.
//!
//! A commit waits for an fsync, which under load is most of the cost of a small write. So requests
//! that arrive during a commit wait for the next one, which takes all of them, in order of arrival. A
//! request that arrives alone does not wait. The commit runs in its own task, so a caller that is
//! canceled delays no other. A request's result is returned only after its commit, unless it says that nothing
//! was written for it (`tests/store/intake.rs`, `tests/store/usage.rs`).
//!
//! The queue and the wait in it are bounded. A request that was rejected, or whose caller was canceled
//! before its commit began, is never committed later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::error::StoreError;
use super::tx::Tx;

/// The largest batch, sized for the number of connections that one node serves.
const MAX_BATCH: usize = 256;
/// The maximum length of the queue.
const MAX_WAITING: usize = 4096;
/// The maximum wait for a commit to begin: longer than the database's own timeouts.
const MAX_WAIT: Duration = Duration::from_secs(15);

type ResultSender<A> = oneshot::Sender<Result<A, StoreError>>;
type Write<T, A> = dyn Fn(Arc<[T]>) -> BoxFuture<'static, Result<Batch<A>, StoreError>> + Send + Sync;

/// A batch that is written and not yet committed.
#[derive(Debug)]
pub struct Batch<A> {
    /// The results, in the order of the requests.
    pub results: Vec<BatchResult<A>>,
    /// The transaction to commit; `None` if there is nothing to commit.
    pub tx: Option<Tx>,
}

/// The result of one request.
#[derive(Debug)]
pub enum BatchResult<A> {
    /// To be returned after the commit.
    Written(A),
    /// Nothing was written for the request, so its caller need not wait for the commit.
    Unwritten(A),
}

impl<A> Batch<A> {
    /// A batch whose results all wait for the commit.
    pub fn written(results: impl IntoIterator<Item = A>, tx: Tx) -> Self {
        Self { results: results.into_iter().map(BatchResult::Written).collect(), tx: Some(tx) }
    }
}

/// A queue of requests that are committed together. Cheap to clone.
pub struct GroupCommit<T, A>(Arc<Inner<T, A>>);

struct Inner<T, A> {
    write: Box<Write<T, A>>,
    queue: Mutex<Queue<T, A>>,
    max_wait: Duration,
}

struct Queue<T, A> {
    waiting: Vec<Waiting<T, A>>,
    next_ticket: u64,
    is_running: bool,
}

struct Waiting<T, A> {
    ticket: u64,
    request: T,
    sender: ResultSender<A>,
}

impl<T, A> Clone for GroupCommit<T, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, A> std::fmt::Debug for GroupCommit<T, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCommit").finish_non_exhaustive()
    }
}

impl<T, A> GroupCommit<T, A>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    /// `write` writes all requests of a batch in one transaction. If the database rejects the data of a batch,
    /// each request is retried alone: one bad request does not fail the others.
    pub fn new<F>(write: impl Fn(Arc<[T]>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Batch<A>, StoreError>> + Send + 'static,
    {
        Self::with_max_wait(write, MAX_WAIT)
    }

    fn with_max_wait<F>(write: impl Fn(Arc<[T]>) -> F + Send + Sync + 'static, max_wait: Duration) -> Self
    where
        F: Future<Output = Result<Batch<A>, StoreError>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            write: Box::new(move |batch| Box::pin(write(batch))),
            queue: Mutex::new(Queue { waiting: Vec::new(), next_ticket: 0, is_running: false }),
            max_wait,
        }))
    }

    /// Commits `request` with the other queued requests; returns its result once it is durable.
    ///
    /// # Errors
    /// On [`StoreError::Busy`] the request was not and will not be committed. After any other error it may
    /// have been, as after any failed commit.
    pub async fn submit(&self, request: T) -> Result<A, StoreError> {
        let (sender, mut receiver) = oneshot::channel();
        let ticket = self.enqueue(request, sender)?;
        if let Ok(result) = tokio::time::timeout(self.0.max_wait, &mut receiver).await {
            return result.unwrap_or_else(|_| Err(crashed()));
        }
        if self.withdraw(ticket) {
            return Err(StoreError::Busy);
        }
        // Its commit has begun, so only the outcome shows whether it succeeded.
        receiver.await.unwrap_or_else(|_| Err(crashed()))
    }

    fn enqueue(&self, request: T, sender: ResultSender<A>) -> Result<u64, StoreError> {
        let mut queue = self.queue();
        if queue.waiting.len() >= MAX_WAITING {
            return Err(StoreError::Busy);
        }
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push(Waiting { ticket, request, sender });
        let is_first = !std::mem::replace(&mut queue.is_running, true);
        drop(queue);
        if is_first {
            tokio::spawn(Running(self.clone()).run());
        }
        Ok(ticket)
    }

    /// Removes a request from the queue; `false` if its commit has begun.
    fn withdraw(&self, ticket: u64) -> bool {
        let mut queue = self.queue();
        let before = queue.waiting.len();
        queue.waiting.retain(|waiting| waiting.ticket != ticket);
        queue.waiting.len() < before
    }

    /// Takes the next batch, without the requests whose callers were canceled.
    fn take(&self) -> Vec<Waiting<T, A>> {
        let mut queue = self.queue();
        queue.waiting.retain(|waiting| !waiting.sender.is_closed());
        let size = queue.waiting.len().min(MAX_BATCH);
        queue.is_running = size > 0;
        queue.waiting.drain(..size).collect()
    }
}

impl<T, A> GroupCommit<T, A> {
    fn queue(&self) -> MutexGuard<'_, Queue<T, A>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that commits the batches.
struct Running<T, A>(GroupCommit<T, A>);

impl<T, A> Running<T, A>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    async fn run(self) {
        loop {
            let batch = self.0.take();
            if batch.is_empty() {
                return;
            }
            let (requests, senders): (Vec<T>, Vec<ResultSender<A>>) =
                batch.into_iter().map(|waiting| (waiting.request, waiting.sender)).unzip();
            let requests: Arc<[T]> = requests.into();
            match self.write(Arc::clone(&requests)).await {
                Ok(batch) => commit(batch, senders).await,
                // A batch of one is retried too: the conflicting row may be committed and visible by now.
                Err(error) if error.is_caused_by_data() => self.commit_each(&requests, senders).await,
                Err(error) => reject(senders, error),
            }
        }
    }

    async fn write(&self, batch: Arc<[T]>) -> Result<Batch<A>, StoreError> {
        (self.0.0.write)(batch).await
    }

    /// Commits each request alone, except those whose callers have gone. If the database itself fails, all
    /// remaining requests fail with its error.
    async fn commit_each(&self, requests: &[T], senders: Vec<ResultSender<A>>) {
        let mut senders = senders.into_iter();
        for request in requests {
            let Some(sender) = senders.next() else { return };
            if sender.is_closed() {
                continue;
            }
            match self.write(Arc::from([request.clone()])).await {
                Ok(batch) => commit(batch, vec![sender]).await,
                Err(error) if error.is_caused_by_data() => reply(sender, Err(error)),
                Err(error) => return reject(std::iter::once(sender).chain(senders), error),
            }
        }
    }
}

/// Commits a batch, and replies to each caller.
async fn commit<A>(batch: Batch<A>, senders: Vec<ResultSender<A>>) {
    let mut written = Vec::with_capacity(senders.len());
    for (sender, result) in senders.into_iter().zip(batch.results) {
        match result {
            BatchResult::Written(result) => written.push((sender, result)),
            BatchResult::Unwritten(result) => reply(sender, Ok(result)),
        }
    }
    let committed = match batch.tx {
        Some(tx) => tx.commit().await,
        None => Ok(()),
    };
    match committed {
        Ok(()) => written.into_iter().for_each(|(sender, result)| reply(sender, Ok(result))),
        Err(error) => reject(written.into_iter().map(|(sender, _)| sender), error),
    }
}

fn reject<A>(senders: impl IntoIterator<Item = ResultSender<A>>, error: StoreError) {
    let error = Arc::new(error);
    senders.into_iter().for_each(|sender| reply(sender, Err(StoreError::Shared(Arc::clone(&error)))));
}

/// Ignores a caller that was canceled: its request stays committed.
fn reply<A>(sender: ResultSender<A>, outcome: Result<A, StoreError>) {
    let _ = sender.send(outcome);
}

impl<T, A> Drop for Running<T, A> {
    /// After a panic the queued requests get an error, and the next request starts a new task.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.is_running = false;
            queue.waiting.clear();
        }
    }
}

fn crashed() -> StoreError {
    StoreError::Database(sqlx::Error::WorkerCrashed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::row::RowRef;

    fn echo() -> GroupCommit<u32, u32> {
        GroupCommit::new(|batch: Arc<[u32]>| async move {
            assert!(!batch.contains(&0), "a bug");
            Ok(results(&batch))
        })
    }

    fn results(batch: &[u32]) -> Batch<u32> {
        Batch { results: batch.iter().copied().map(BatchResult::Written).collect(), tx: None }
    }

    /// A commit that waits for a permit, and counts the requests committed.
    fn gated(max_wait: Duration) -> (GroupCommit<u32, u32>, Arc<Semaphore>, Arc<AtomicUsize>) {
        let (gate, committed) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counted) = (Arc::clone(&gate), Arc::clone(&committed));
        let commit = move |batch: Arc<[u32]>| {
            let (gate, committed) = (Arc::clone(&opened), Arc::clone(&counted));
            async move {
                gate.acquire().await.expect("the gate stays").forget();
                committed.fetch_add(batch.len(), Ordering::SeqCst);
                Ok(results(&batch))
            }
        };
        (GroupCommit::with_max_wait(commit, max_wait), gate, committed)
    }

    #[tokio::test]
    async fn a_commit_that_panics_is_an_error_and_does_not_stop_the_next() {
        let group = echo();
        assert!(group.submit(0).await.is_err());
        assert_eq!(group.submit(2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_connection_error_is_given_to_all_in_the_batch() {
        let group: GroupCommit<u32, u32> =
            GroupCommit::new(|_| async { Err(StoreError::Database(sqlx::Error::PoolTimedOut)) });
        let (one, other) = tokio::join!(group.submit(1), group.submit(2));
        assert!(matches!(one, Err(StoreError::Shared(_))) && matches!(other, Err(StoreError::Shared(_))));
    }

    #[tokio::test]
    async fn a_request_that_waited_too_long_is_rejected_and_never_committed() {
        let (group, gate, committed) = gated(Duration::ZERO);
        let (sender, first) = oneshot::channel();
        group.enqueue(1, sender).unwrap();
        while !group.queue().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(group.submit(2).await, Err(StoreError::Busy)));
        gate.add_permits(2);
        assert_eq!(first.await.expect("a result").unwrap(), 1);
        assert_eq!(committed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_before_its_commit_began_changes_nothing() {
        let (group, gate, committed) = gated(MAX_WAIT);
        let first = tokio::spawn({
            let group = group.clone();
            async move { group.submit(1).await }
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn({
            let group = group.clone();
            async move { group.submit(2).await }
        });
        tokio::task::yield_now().await;
        second.abort();
        let _ = second.await;
        gate.add_permits(3);
        first.await.expect("no panic").unwrap();
        assert_eq!(group.submit(3).await.unwrap(), 3);
        assert_eq!(committed.load(Ordering::SeqCst), 2, "1 and 3 were committed, 2 was not");
    }

    /// A commit that rejects every batch of several, and otherwise does as [`gated`].
    fn one_by_one() -> (GroupCommit<u32, u32>, Arc<Semaphore>, Arc<AtomicUsize>) {
        let (single, gate, committed) = gated(MAX_WAIT);
        let commit = move |batch: Arc<[u32]>| {
            let single = single.clone();
            async move {
                if batch.len() > 1 {
                    let at = RowRef { table: "t", row: "1" };
                    return Err(at.corrupt("c", &"a bad request"));
                }
                Ok(results(&[single.submit(batch[0]).await?]))
            }
        };
        (GroupCommit::new(commit), gate, committed)
    }

    async fn until_all_taken(group: &GroupCommit<u32, u32>) {
        while !group.queue().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_before_its_request_is_tried_alone_changes_nothing() {
        let (group, gate, committed) = one_by_one();
        let enqueue = |request| {
            let (sender, receiver) = oneshot::channel();
            group.enqueue(request, sender).unwrap();
            receiver
        };
        let first = enqueue(1);
        until_all_taken(&group).await;
        let (second, third) = (enqueue(2), enqueue(3));
        gate.add_permits(1);
        assert_eq!(first.await.expect("a result").unwrap(), 1);
        until_all_taken(&group).await;
        drop(third);
        gate.add_permits(3);
        assert_eq!(second.await.expect("a result").unwrap(), 2);
        assert_eq!(group.submit(4).await.unwrap(), 4);
        assert_eq!(committed.load(Ordering::SeqCst), 3, "3 was not committed");
    }

    #[tokio::test]
    async fn a_full_queue_rejects_the_next_request() {
        let (group, _gate, _) = gated(MAX_WAIT);
        let waiting: Vec<_> = (0..(MAX_BATCH + MAX_WAITING) as u32)
            .map(|n| {
                tokio::spawn({
                    let group = group.clone();
                    async move { group.submit(n).await }
                })
            })
            .collect();
        // One batch is being committed, and the others fill the queue.
        while group.queue().waiting.len() < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        let rejected = group.submit(u32::MAX).await;
        assert!(matches!(rejected, Err(StoreError::Busy)), "{rejected:?}");
        waiting.into_iter().for_each(|task| task.abort());
    }
}
