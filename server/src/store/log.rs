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
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// Whether the disk has refused the log once. The system forgets then what it could not write, and
    /// says of the rest that it is there: only who reads it anew, after a restart, knows what is.
    is_broken: AtomicBool,
    flushing: GroupCommit<(), ()>,
}

impl Log {
    /// Of a database in this file; of one in memory for `None`.
    pub(super) fn new(database: Option<PathBuf>) -> Self {
        let file = database.map(|mut path| {
            path.as_mut_os_string().push("-wal");
            path
        });
        Self(Arc::new(Inner {
            file,
            committed: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
            flushing: GroupCommit::default(),
        }))
    }

    /// All that has been committed by now.
    pub(super) fn so_far(&self) -> Written {
        Written(Some((self.clone(), self.0.committed.fetch_add(1, Ordering::SeqCst) + 1)))
    }

    /// Whether what is committed can still be made durable.
    ///
    /// # Errors
    /// The disk has refused the log since the start.
    pub(super) fn is_sound(&self) -> Result<(), StoreError> {
        let broken = || sqlx::Error::Io(std::io::Error::other("the disk has refused SQLite's log; restart"));
        if self.0.is_broken.load(Ordering::SeqCst) { Err(broken().into()) } else { Ok(()) }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let upto = self.0.committed.load(Ordering::SeqCst);
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.sync()).await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        self.0.flushed.fetch_max(upto, Ordering::SeqCst);
        Ok(())
    }

    /// The log goes to the disk; one that is not there was taken into the database and is there whole.
    fn sync(&self) -> Result<(), StoreError> {
        self.is_sound()?;
        let Some(path) = &self.0.file else { return Ok(()) };
        // Opened anew each time: whoever closes the last connection deletes it. For writing, because
        // not every system syncs what was opened for reading.
        let log = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(sqlx::Error::Io)?,
        };
        log.sync_data().map_err(|error| {
            tracing::error!(%error, "the disk has refused SQLite's log: nothing is written down until a restart");
            self.0.is_broken.store(true, Ordering::SeqCst);
            sqlx::Error::Io(error).into()
        })
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
            log.is_sound()?;
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
