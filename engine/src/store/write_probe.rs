//! Checking that the database can be written to: a full disk, a read-only file system and a standby still
//! serve reads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::group_commit::{Batch, GroupCommit};
use super::{Db, StoreError, statements, values};

/// The time for which a successful write is trusted, so that probing costs next to nothing.
const VALID: Duration = Duration::from_secs(1);

statements! {
    WRITE = "INSERT INTO write_probe (id, writes) VALUES (1, 1) \
        ON CONFLICT (id) DO UPDATE SET writes = write_probe.writes + 1";
}

/// Writes a row to check that writing works. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WriteProbe {
    commits: GroupCommit<(), ()>,
    succeeded: Arc<Mutex<Option<Instant>>>,
}

impl WriteProbe {
    /// Creates a probe of this database.
    pub fn new(db: &Db) -> Self {
        let db = db.clone();
        let commits = GroupCommit::new(move |probes: Arc<[()]>| write(db.clone(), probes.len()));
        Self { commits, succeeded: Arc::default() }
    }

    /// Writes a row, shared by concurrent callers, unless one was written within the last second.
    pub async fn check(&self) -> Result<(), StoreError> {
        let succeeded = *self.succeeded.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded.is_some_and(|at| at.elapsed() < VALID) {
            return Ok(());
        }
        self.commits.submit(()).await?;
        *self.succeeded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }
}

async fn write(db: Db, probes: usize) -> Result<Batch<()>, StoreError> {
    let mut tx = db.begin().await?;
    tx.execute(WRITE, values![]).await?;
    Ok(Batch::written(vec![(); probes], tx))
}
