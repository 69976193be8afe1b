//! The database's own version, and whether the connection to it is encrypted.

use super::{Db, StoreError, columns, statements, values};

// Statements for PostgreSQL only.
statements! {
    SERVER = "SELECT current_setting('server_version') AS version, \
        COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS is_encrypted";
}

/// The oldest SQLite whose WAL is known not to lose commits (sqlite.org, "The WAL-reset bug").
const SOUND_SQLITE: [u32; 3] = [3, 51, 3];

/// A database system and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseVersion {
    /// The SQLite that is compiled in.
    Sqlite(String),
    /// A PostgreSQL server.
    Postgres {
        /// The version that the server reports.
        version: String,
        /// Whether the connection uses TLS.
        is_encrypted: bool,
    },
}

struct ServerRow {
    version: String,
    is_encrypted: bool,
}

columns!(ServerRow { version, is_encrypted });

impl DatabaseVersion {
    /// Returns whether this version is known to lose commits.
    pub fn is_unsound(&self) -> bool {
        let Self::Sqlite(version) = self else { return false };
        let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
        parts.as_slice() < SOUND_SQLITE.as_slice()
    }
}

impl std::fmt::Display for DatabaseVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(version) => write!(f, "SQLite {version}"),
            Self::Postgres { version, is_encrypted: true } => write!(f, "PostgreSQL {version}, over TLS,"),
            Self::Postgres { version, is_encrypted: false } => write!(f, "PostgreSQL {version}, without TLS,"),
        }
    }
}

impl Db {
    /// Reads the database's version.
    pub async fn version(&self) -> Result<DatabaseVersion, StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let version = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pools.readers()).await?;
                Ok(DatabaseVersion::Sqlite(version))
            }
            Self::Postgres(_) => {
                let ServerRow { version, is_encrypted } = self.fetch_one(SERVER, values![]).await?;
                Ok(DatabaseVersion::Postgres { version, is_encrypted })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_older_versions_of_sqlite_are_unsound() {
        for unsound in ["3.46.0", "3.51.2", "3.51", "2.99.99"] {
            assert!(DatabaseVersion::Sqlite(unsound.to_owned()).is_unsound(), "{unsound}");
        }
        for sound in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(!DatabaseVersion::Sqlite(sound.to_owned()).is_unsound(), "{sound}");
        }
    }
}
