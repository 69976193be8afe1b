//! Sign-in sessions in the database, on either engine, cached like what they open
//! ([`crate::access`]).

use std::time::Duration;

use async_trait::async_trait;
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, ExpiredDeletion, Result};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use super::Backend;
use crate::access::SESSIONS;
use crate::store::{Db, StoreError};
use crate::tollgate::Tollgate;

/// Days after which a session ends. Reading a page does not write it: a page that is on its way while
/// somebody logs out would write it back.
const DAYS: i64 = 14;

/// Where sessions lie.
#[derive(Clone, Debug)]
pub struct Sessions {
    tollgate: Tollgate,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    /// Read from many connections, written on the one that writes.
    Sqlite {
        read: SqliteStore,
        write: SqliteStore,
    },
    Postgres(PostgresStore),
}

impl Rows {
    /// Of this database. Its migrations made the table.
    fn new(db: &Db) -> Self {
        match (db.sqlite_pools(), db.postgres_pool()) {
            (Some((read, write)), _) => Self::Sqlite { read: SqliteStore::new(read), write: SqliteStore::new(write) },
            (None, Some(pool)) => Self::Postgres(PostgresStore::new(pool.clone())),
            (None, None) => unreachable!("a database is one or the other"),
        }
    }

    fn read(&self) -> &dyn SessionStore {
        match self {
            Self::Sqlite { read, .. } => read,
            Self::Postgres(store) => store,
        }
    }

    fn write(&self) -> &dyn SessionStore {
        match self {
            Self::Sqlite { write, .. } => write,
            Self::Postgres(store) => store,
        }
    }
}

impl Sessions {
    /// The sessions of this app.
    pub fn new(tollgate: &Tollgate) -> Self {
        Self { rows: Rows::new(tollgate.db()), tollgate: tollgate.clone() }
    }

    /// Writes, and has the session forgotten here and on the other nodes whatever came of it. Whoever
    /// asked may hang up: it is carried through.
    async fn change(&self, id: Id, write: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        let tollgate = self.tollgate.clone();
        let changing = tokio::spawn(async move {
            let written = write.await;
            let hash = hash(&id);
            tollgate.access().forget_session(&hash).await;
            written?;
            durable(&tollgate).await?;
            if tollgate.db().postgres_pool().is_some() {
                let told = async {
                    let mut tx = tollgate.db().begin().await?;
                    tx.notify(SESSIONS, &hash).await?;
                    tx.commit().await
                };
                told.await.map_err(|error: StoreError| Error::Backend(error.to_string()))?;
            }
            Ok(())
        });
        changing.await.unwrap_or_else(|error| Err(Error::Backend(error.to_string())))
    }
}

/// Returns when what was written is on the disk.
async fn durable(tollgate: &Tollgate) -> Result<()> {
    tollgate.db().so_far().durable().await.map_err(|error| Error::Backend(error.to_string()))
}

/// The id alone opens an account: it goes neither into memory for long nor over the wire.
fn hash(id: &Id) -> String {
    hex::encode(Sha256::digest(id.0.to_le_bytes()))
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.rows.write().create(record).await?;
        durable(&self.tollgate).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (rows, record) = (self.rows.clone(), record.clone());
        self.change(record.id, async move { rows.write().save(&record).await }).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let record = self.tollgate.access().session(&hash(id), self.rows.read().load(id)).await?;
        let now = self.tollgate.clock().wall().0;
        Ok(record.filter(|record| record.expiry_date.unix_timestamp() > now).map(|record| Record::clone(&record)))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let (rows, id) = (self.rows.clone(), *id);
        self.change(id, async move { rows.write().delete(&id).await }).await
    }
}

#[async_trait]
impl ExpiredDeletion for Sessions {
    async fn delete_expired(&self) -> Result<()> {
        match &self.rows {
            Rows::Sqlite { write, .. } => write.delete_expired().await,
            Rows::Postgres(store) => store.delete_expired().await,
        }
    }
}

/// The layer that reads a request's session and user. The cookie is `Lax`, not `Strict`:
/// people come back from Stripe signed in.
pub fn layer(tollgate: &Tollgate) -> AuthManagerLayer<Backend, Sessions> {
    let sessions = SessionManagerLayer::new(Sessions::new(tollgate))
        .with_name("tollgate")
        .with_same_site(SameSite::Lax)
        .with_http_only(true)
        .with_secure(tollgate.config().is_https())
        .with_expiry(Expiry::OnInactivity(time::Duration::days(DAYS)));
    AuthManagerLayerBuilder::new(Backend::new(tollgate.clone()), sessions).build()
}

/// Deletes expired sessions every hour until `stop`.
pub async fn sweep(tollgate: Tollgate, stop: CancellationToken) {
    let sessions = Sessions::new(&tollgate);
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
