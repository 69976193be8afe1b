//! The files of an SQLite database: the database, its WAL and the index of the WAL.
//!
//! They hold customers' data, so only their owner may read them. SQLite creates the WAL and its index with
//! the permissions of the database.
//!
//! SQLite does not notice when its files are deleted or replaced while they are open: it continues with
//! unlinked files, which disappear with the process. So their identity is compared with that of the files it
//! opened (`tests/http/storage.rs`).

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

/// Returns the path of the database file at a `sqlite:` URL; `None` if the database is in memory.
pub(super) fn path_of(url: &str) -> Result<Option<PathBuf>, sqlx::Error> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Ok(None);
    }
    Ok(Some(SqliteConnectOptions::from_str(url)?.get_filename().to_owned()))
}

/// Creates the folder of a file if it does not exist.
pub(super) fn create_folder_of(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::create_dir_all(folder),
        _ => Ok(()),
    }
}

/// Returns the path of a file next to a database.
pub(super) fn sidecar(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Creates the database file if it does not exist, and lets only its owner read it and the files
/// next to it.
pub(super) fn make_private(database: &Path) -> io::Result<()> {
    // An existing file is not opened here: closing it would end SQLite's locks of this process on it.
    let mut create = OpenOptions::new();
    create.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    match create.open(database) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    #[cfg(unix)]
    for path in [database.to_owned(), sidecar(database, "-wal"), sidecar(database, "-shm")] {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            continue;
        }
        match fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700)) {
            Ok(()) => tracing::warn!(path = %path.display(), "the database file was readable by other users; fixed"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "the database file is readable by others"),
        }
    }
    Ok(())
}

/// A file that is not where it was when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// The database itself.
    Database,
    /// Its WAL, which can still be copied into the database.
    Wal,
}

/// The files that are open.
#[derive(Clone, Debug)]
pub(super) struct OpenFiles {
    database: OpenFile,
    wal: OpenFile,
}

#[derive(Clone, Debug)]
struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode; nothing on systems that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(Option<(u64, u64)>);

impl OpenFiles {
    /// Returns the files of a database that has just been opened.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        Ok(Self { database: OpenFile::at(database.to_owned())?, wal: OpenFile::at(sidecar(database, "-wal"))? })
    }

    /// Returns the path of the database.
    pub(super) fn database(&self) -> &Path {
        &self.database.path
    }

    /// Returns the file that was deleted or replaced, if one was.
    pub(super) fn misplaced(&self) -> Option<Misplaced> {
        if !self.database.is_in_place() {
            return Some(Misplaced::Database);
        }
        (!self.wal.is_in_place()).then_some(Misplaced::Wal)
    }
}

impl OpenFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        Ok(Self { identity: identity(&path)?, path })
    }

    fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let identity = {
        drop(metadata);
        None
    };
    Ok(Identity(identity))
}
