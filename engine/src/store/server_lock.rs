//! Ensures that an SQLite file has only one server.
//!
//! A second server would claim the first one's work, and neither would see the other's writes in time. The lock
//! is an OS lock on a file next to the database, so it is released when its process ends, even by a crash.
//! Commands take no lock: they may run alongside a server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::sqlite_files::{create_folder_of, path_of, sidecar};
use crate::settings::DatabaseUrl;

/// The right to be the server of an SQLite file, held until it is dropped. It locks nothing for databases on
/// PostgreSQL or in memory.
#[derive(Debug)]
pub struct ServerLock(#[expect(dead_code, reason = "closing the file ends the lock")] Option<File>);

/// The reason a server cannot start on an SQLite file.
#[derive(Debug, thiserror::Error)]
pub enum ServerLockError {
    /// Another server runs on it.
    #[error(
        "another server{} uses the database {}: stop it first, or use PostgreSQL for several servers",
        .process.as_ref().map(|process| format!(" (process {process})")).unwrap_or_default(),
        .database.display()
    )]
    Held {
        /// The database file.
        database: PathBuf,
        /// The process id of the other server.
        process: Option<String>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", .file.display())]
    Io {
        /// The lock file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The URL cannot be read.
    #[error(transparent)]
    Url(#[from] sqlx::Error),
}

impl ServerLock {
    /// Acquires the lock, without waiting for another server to stop.
    pub fn acquire(url: &DatabaseUrl) -> Result<Self, ServerLockError> {
        let DatabaseUrl::Sqlite(url) = url else { return Ok(Self(None)) };
        let Some(database) = path_of(url)? else { return Ok(Self(None)) };
        // A file may have several paths.
        let database = database.canonicalize().unwrap_or(database);
        let file = sidecar(&database, ".lock");
        match lock(&file) {
            Ok(Ok(locked)) => Ok(Self(Some(locked))),
            Ok(Err(process)) => Err(ServerLockError::Held { database, process }),
            Err(source) => Err(ServerLockError::Io { file, source }),
        }
    }
}

/// Locks a file and writes the process id into it, or returns the id that another process has written.
fn lock(path: &Path) -> io::Result<Result<File, Option<String>>> {
    create_folder_of(path)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            // It only makes the other server's error clearer.
            let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let is_read = file.read_to_string(&mut process).is_ok() && !process.is_empty();
            Ok(Err(is_read.then_some(process)))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
