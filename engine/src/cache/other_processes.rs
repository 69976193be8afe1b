//! Writes by other processes to an SQLite database, such as commands that run alongside the server.
//!
//! PostgreSQL notifies other nodes. SQLite does not, so a process without a listener appends a byte to a file next to
//! the database after each commit, before it reports success. The server compares that file's length whenever it
//! uses its cache: one system call, much cheaper than a query.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::store::Db;

/// The end of the file's name.
const SUFFIX: &str = ".changes";

/// The file in which other processes report their commits.
#[derive(Debug)]
pub(super) struct OtherProcesses {
    /// `None` on PostgreSQL and in memory.
    path: Option<PathBuf>,
    /// Open in the process that listens.
    file: OnceLock<File>,
}

impl OtherProcesses {
    pub(super) fn new(db: &Db) -> Self {
        let path = match db {
            Db::Sqlite(pools) => pools.sidecar(SUFFIX),
            Db::Postgres(_) => None,
        };
        Self { path, file: OnceLock::new() }
    }

    /// Starts to count the commits of other processes. From now on, this one does not report its own.
    pub(super) fn listen(&self) -> io::Result<()> {
        let Some(path) = self.path.as_deref().filter(|_| self.file.get().is_none()) else { return Ok(()) };
        let mut create = OpenOptions::new();
        create.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
        let file = create.open(path)?;
        self.file.get_or_init(|| file);
        Ok(())
    }

    /// Returns how many commits other processes have reported, or `None` if that cannot be read.
    pub(super) fn count(&self) -> Option<u64> {
        let Some(file) = self.file.get() else { return Some(0) };
        file.metadata().map(|metadata| metadata.len()).ok()
    }

    /// Reports a commit to the process that listens. Without the file, none has begun to.
    pub(super) fn report(&self) {
        let Some(path) = self.path.as_deref().filter(|_| self.file.get().is_none()) else { return };
        let reported = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(b"."));
        match reported {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a running server notices this change only after a second");
            }
            _ => {}
        }
    }
}
