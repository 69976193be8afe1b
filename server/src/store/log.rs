//! From SQLite's commit to the disk.
//!
//! What is committed stands in the log (`-wal`), and everybody sees it; durable it is when the log
//! is on the disk. The disk takes milliseconds for that, and who holds the one writer meanwhile makes
//! all others wait with it. So the two are apart: at `synchronous=NORMAL` SQLite leaves it to the
//! system when the log goes to the disk, the next commit begins, and whoever has committed asks for
//! the disk here, those who come together at once. Nobody is told of a commit before it is durable.
//! Whoever saw one and commits what follows from it stands behind it in the log, so a machine that
//! loses its power keeps the beginning of what happened, never a part of it (`tests/store/log.rs`).
//!
//! PostgreSQL shares its waits for the disk by itself.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::StoreError;
use super::group_commit::GroupCommit;

/// The log of an SQLite database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None for a database in memory: there is no disk to wait for.
    file: Option<PathBuf>,
    /// How many times something was committed that is to be waited for.
    committed: AtomicU64,
    /// How many of these times are on the disk.
    flushed: AtomicU64,
    flushing: GroupCommit<(), ()>,
}

impl Log {
    /// Of a database in this file; of one in memory for `None`.
    pub(super) fn new(database: Option<PathBuf>) -> Self {
        let file = database.map(|mut path| {
            path.as_mut_os_string().push("-wal");
            path
        });
        let (committed, flushed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { file, committed, flushed, flushing: GroupCommit::default() }))
    }

    /// All that has been committed by now.
    pub(super) fn so_far(&self) -> Written {
        Written(Some((self.clone(), self.0.committed.fetch_add(1, Ordering::SeqCst) + 1)))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let upto = self.0.committed.load(Ordering::SeqCst);
        if let Some(file) = self.0.file.clone() {
            tokio::task::spawn_blocking(move || sync(&file)).await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        }
        self.0.flushed.fetch_max(upto, Ordering::SeqCst);
        Ok(())
    }
}

/// The log goes to the disk; a log that is not there was taken into the database and is there whole.
fn sync(log: &Path) -> Result<(), sqlx::Error> {
    // Opened anew each time: whoever closes the last connection deletes it. For writing, because
    // not every system syncs what was opened for reading.
    match OpenOptions::new().write(true).open(log) {
        Ok(file) => file.sync_data().map_err(sqlx::Error::Io),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(sqlx::Error::Io(error)),
    }
}

/// Commits that stand in the log, on their way to the disk.
#[must_use = "nobody may be told before it is durable"]
#[derive(Clone, Debug)]
pub struct Written(Option<(Log, u64)>);

impl Written {
    /// Nothing that has to be waited for.
    pub const fn durable_already() -> Self {
        Self(None)
    }

    /// Whether there is nothing to wait for.
    pub(super) const fn is_durable(&self) -> bool {
        self.0.is_none()
    }

    /// Returns when they are on the disk.
    ///
    /// # Errors
    /// The disk failed: they may be lost.
    pub fn durable(self) -> BoxFuture<'static, Result<(), StoreError>> {
        async move {
            let Some((log, number)) = self.0 else { return Ok(()) };
            if log.0.flushed.load(Ordering::SeqCst) >= number {
                return Ok(());
            }
            let flushing = log.0.flushing.clone();
            let flush = move |asked: Arc<[()]>| {
                let log = log.clone();
                async move { log.flush().await.map(|()| (asked.to_vec(), Self::durable_already())) }
            };
            flushing.commit((), flush).await
        }
        .boxed()
    }
}
