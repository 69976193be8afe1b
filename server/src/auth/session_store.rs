//! Sessions in the database. The id alone grants access to an account, so only its hash is stored.

use std::time::Duration;

use async_trait::async_trait;
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder};
use engine::StoreError;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};

use super::backend::Backend;
use super::throttle;
use crate::cookie::{Cookie, SameSite};
use crate::store::sessions::{self, StoredSession};
use crate::store::{known_devices, login_throttle};
use crate::tollgate::Tollgate;
use crate::uninterrupted::uninterrupted;
use crate::user_cache::Changed;

/// Not `Strict`, so that customers are still signed in when they return from Stripe.
pub(crate) const COOKIE: Cookie = Cookie::new("tollgate", SameSite::Lax);
/// Days after which a session ends. Requests do not extend it: one that is in flight while the user logs
/// out would write the session back.
const DAYS: i64 = 14;
/// The interval at which expired sessions, devices and login attempts are deleted.
const SWEEP: Duration = Duration::from_secs(3600);

/// The app's session store.
#[derive(Clone, Debug)]
pub struct Sessions(Tollgate);

impl Sessions {
    /// Creates the store.
    pub fn new(tollgate: &Tollgate) -> Self {
        Self(tollgate.clone())
    }
}

fn hash(id: &Id) -> String {
    hex::encode(Sha256::digest(id.0.to_le_bytes()))
}

fn stored(record: &Record) -> Result<StoredSession> {
    let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
    Ok(StoredSession { data, expires_at: record.expiry_date.unix_timestamp() })
}

fn record(id: Id, stored: &StoredSession) -> Result<Record> {
    let data = serde_json::from_str(&stored.data).map_err(|error| Error::Decode(error.to_string()))?;
    let expiry_date = time::OffsetDateTime::from_unix_timestamp(stored.expires_at);
    Ok(Record { id, data, expiry_date: expiry_date.map_err(|error| Error::Decode(error.to_string()))? })
}

#[expect(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
fn failed(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let session = stored(record)?;
        let mut tx = self.0.db().begin().await.map_err(failed)?;
        while !sessions::insert(&mut tx, &hash(&record.id), &session).await.map_err(failed)? {
            record.id = Id::default();
        }
        tx.commit().await.map_err(failed)
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let mut tx = self.0.db().begin().await.map_err(failed)?;
        let id_hash = hash(&record.id);
        sessions::save(&mut tx, &id_hash, &stored(record)?).await.map_err(failed)?;
        self.0.user_cache().commit(tx, &[Changed::Session(id_hash)]).await.map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        // The wall clock: advancing the sandbox's clock by a month does not log its user out.
        let now = self.0.clock().wall();
        let found = self.0.user_cache().session(self.0.db(), &hash(id), now).await.map_err(failed)?;
        found.map(|found| record(*id, &found)).transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let (tollgate, id_hash) = (self.0.clone(), hash(id));
        let deleting = async move {
            let mut tx = tollgate.db().begin().await?;
            sessions::delete(&mut tx, &id_hash).await?;
            tollgate.user_cache().commit(tx, &[Changed::Session(id_hash)]).await
        };
        uninterrupted(deleting).await.map_err(failed)
    }
}

/// Returns the layer that reads the session and user of a request.
pub fn layer(tollgate: &Tollgate) -> AuthManagerLayer<Backend, Sessions> {
    let sessions = SessionManagerLayer::new(Sessions::new(tollgate))
        .with_name(COOKIE.name(tollgate.config().is_https()))
        .with_same_site(COOKIE.same_site())
        .with_http_only(true)
        .with_secure(tollgate.config().is_https())
        .with_expiry(Expiry::OnInactivity(time::Duration::days(DAYS)));
    AuthManagerLayerBuilder::new(Backend::new(tollgate.clone()), sessions).build()
}

/// Deletes expired sessions, devices and login attempts until `stop`.
pub async fn sweep(tollgate: Tollgate, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = delete_expired(&tollgate).await {
            tracing::warn!(%error, "expired sessions could not be deleted");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

async fn delete_expired(tollgate: &Tollgate) -> std::result::Result<(), StoreError> {
    let mut tx = tollgate.db().begin().await?;
    sessions::delete_expired(&mut tx, tollgate.clock().wall()).await?;
    known_devices::delete_expired(&mut tx, tollgate.clock().wall()).await?;
    login_throttle::delete_expired(&mut tx, throttle::expired_before(tollgate.now())).await?;
    tx.commit().await
}
