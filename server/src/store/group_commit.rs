//! Many requests, one commit.
//!
//! A commit waits for the disk; under load that is most of what a small write costs. So what
//! comes while a commit is under way waits for the next one, and that one takes all that
//! waits, in the order it came. Alone, nobody waits for anybody. While a commit is on its way
//! to the disk the next one is made. Both run apart from those who asked for them: one who
//! hangs up holds up nobody. An answer is given only after the commit that holds what was asked
//! for is durable (`tests/store/intake.rs`, `tests/store/usage.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::StoreError;
use super::log::Written;

/// The most in one commit: what waits at the connection count that suits one node.
const MOST: usize = 256;

type Waiting<T, A> = (T, oneshot::Sender<Result<A, StoreError>>);

struct Queue<T, A> {
    waiting: Vec<Waiting<T, A>>,
    is_running: bool,
}

/// Those who wait for a commit. Cheap to clone.
pub struct GroupCommit<T, A>(Arc<Mutex<Queue<T, A>>>);

impl<T, A> Clone for GroupCommit<T, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, A> Default for GroupCommit<T, A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { waiting: Vec::new(), is_running: false })))
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
    /// Has `item` committed together with whatever else waits; returns when it is durable.
    /// `commit` writes all it is given in one transaction and answers each, in their order, with
    /// what is still to be waited for. When the database finds fault with what was written, each is
    /// tried alone: one bad item does not refuse the others.
    ///
    /// # Errors
    /// It could not be committed, or not made durable: then it may be seen all the same.
    pub async fn commit<F>(
        &self,
        item: T,
        commit: impl Fn(Arc<[T]>) -> F + Send + Sync + 'static,
    ) -> Result<A, StoreError>
    where
        F: Future<Output = Result<(Vec<A>, Written), StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut queue = self.queue();
            queue.waiting.push((item, answer));
            !std::mem::replace(&mut queue.is_running, true)
        };
        if is_first {
            let running = Running(self.clone());
            tokio::spawn(async move { running.run(commit).await });
        }
        answered.await.unwrap_or(Err(StoreError::Database(sqlx::Error::WorkerCrashed)))
    }

    fn take(&self) -> Vec<Waiting<T, A>> {
        let mut queue = self.queue();
        let most = queue.waiting.len().min(MOST);
        let batch = queue.waiting.drain(..most).collect();
        queue.is_running = most > 0;
        batch
    }
}

impl<T, A> GroupCommit<T, A> {
    fn queue(&self) -> MutexGuard<'_, Queue<T, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever commits for all.
struct Running<T, A>(GroupCommit<T, A>);

impl<T, A> Running<T, A>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    async fn run<F>(self, commit: impl Fn(Arc<[T]>) -> F + Send + Sync)
    where
        F: Future<Output = Result<(Vec<A>, Written), StoreError>> + Send,
    {
        loop {
            let batch = self.0.take();
            if batch.is_empty() {
                return;
            }
            let (items, answers): (Vec<T>, Vec<_>) = batch.into_iter().unzip();
            let items: Arc<[T]> = items.into();
            match commit(Arc::clone(&items)).await {
                Ok((all, written)) if written.is_durable() => tell(answers, all.into_iter().map(Ok)),
                Ok((all, written)) => drop(tokio::spawn(async move {
                    match written.durable().await {
                        Ok(()) => tell(answers, all.into_iter().map(Ok)),
                        Err(error) => tell_all(answers, error),
                    }
                })),
                // One that was alone is tried again, too: what it ran into may be written by now, and be seen.
                Err(error) if error.is_about_what_was_written() => {
                    for (item, answer) in items.iter().zip(answers) {
                        tell([answer], [alone(commit(Arc::from([item.clone()]))).await]);
                    }
                }
                Err(error) => tell_all(answers, error),
            }
        }
    }
}

async fn alone<A>(commit: impl Future<Output = Result<(Vec<A>, Written), StoreError>>) -> Result<A, StoreError> {
    let (mut one, written) = commit.await?;
    written.durable().await?;
    one.pop().ok_or_else(unanswered)
}

fn tell<A>(
    answers: impl IntoIterator<Item = oneshot::Sender<Result<A, StoreError>>>,
    outcomes: impl IntoIterator<Item = Result<A, StoreError>>,
) {
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        // Nobody listens any more: what was committed is committed all the same.
        let _ = answer.send(outcome);
    }
}

fn tell_all<A>(answers: Vec<oneshot::Sender<Result<A, StoreError>>>, error: StoreError) {
    let error = Arc::new(error);
    tell(answers, std::iter::repeat_with(|| Err(StoreError::Shared(Arc::clone(&error)))));
}

impl<T, A> Drop for Running<T, A> {
    /// After a panic: those who wait are told, and the next one runs again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.is_running = false;
            queue.waiting.clear();
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::Database(sqlx::Error::WorkerCrashed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_that_panics_is_told_and_does_not_stop_the_next() {
        let group: GroupCommit<u32, u32> = GroupCommit::default();
        let panics = group.commit(1, |_| async { panic!("a fault of ours") }).await;
        assert!(panics.is_err());
        let next =
            group.commit(2, |items: Arc<[u32]>| async move { Ok((items.to_vec(), Written::durable_already())) }).await;
        assert_eq!(next.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_fault_of_the_connection_is_told_to_all_at_once() {
        let group: GroupCommit<u32, u32> = GroupCommit::default();
        let commit = |_: Arc<[u32]>| async { Err(StoreError::Database(sqlx::Error::PoolTimedOut)) };
        let (one, other) = tokio::join!(group.commit(1, commit), group.commit(2, commit));
        assert!(matches!(one, Err(StoreError::Shared(_))) && matches!(other, Err(StoreError::Shared(_))));
    }
}
