//! Sign-in sessions in the database, on either engine.

use std::time::Duration;

use async_trait::async_trait;
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder};
use tokio_util::sync::CancellationToken;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{ExpiredDeletion, Result};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use super::Backend;
use crate::store::Db;
use crate::tollgate::Tollgate;

/// Days without a visit after which a session ends.
const DAYS: i64 = 14;

/// Where sessions lie.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// SQLite: read from many connections, written on the one that writes.
    Sqlite {
        /// For loading.
        read: SqliteStore,
        /// For everything else.
        write: SqliteStore,
    },
    /// PostgreSQL.
    Postgres(PostgresStore),
}

impl Sessions {
    /// The sessions of this database. Its migrations made the table.
    pub fn new(db: &Db) -> Self {
        match (db.sqlite_pools(), db.postgres_pool()) {
            (Some((read, write)), _) => Self::Sqlite { read: SqliteStore::new(read), write: SqliteStore::new(write) },
            (None, Some(pool)) => Self::Postgres(PostgresStore::new(pool.clone())),
            (None, None) => unreachable!("a database is one or the other"),
        }
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => write.create(record).await,
            Self::Postgres(store) => store.create(record).await,
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => write.save(record).await,
            Self::Postgres(store) => store.save(record).await,
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        match self {
            Self::Sqlite { read, .. } => read.load(id).await,
            Self::Postgres(store) => store.load(id).await,
        }
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => write.delete(id).await,
            Self::Postgres(store) => store.delete(id).await,
        }
    }
}

#[async_trait]
impl ExpiredDeletion for Sessions {
    async fn delete_expired(&self) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => write.delete_expired().await,
            Self::Postgres(store) => store.delete_expired().await,
        }
    }
}

/// The layer that reads a request's session and user. The cookie is `Lax`, not `Strict`:
/// people come back from Stripe signed in.
pub fn layer(tollgate: &Tollgate) -> AuthManagerLayer<Backend, Sessions> {
    let sessions = SessionManagerLayer::new(Sessions::new(tollgate.db()))
        .with_name("tollgate")
        .with_same_site(SameSite::Lax)
        .with_http_only(true)
        .with_secure(tollgate.config().is_https())
        .with_expiry(Expiry::OnInactivity(time::Duration::days(DAYS)));
    AuthManagerLayerBuilder::new(Backend::new(tollgate.db().clone()), sessions).build()
}

/// Deletes expired sessions every hour until `stop`.
pub async fn sweep(tollgate: Tollgate, stop: CancellationToken) {
    let sessions = Sessions::new(tollgate.db());
    while !stop.is_cancelled() {
        if let Err(error) = sessions.delete_expired().await {
            tracing::warn!(%error, "expired sessions stay for now");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
    }
}
