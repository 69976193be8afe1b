//! Listens for writes by others: other nodes on PostgreSQL, other processes on SQLite.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::cache::{CHANNEL, Invalidation};
use crate::core::Core;
use crate::store::{Db, SqlitePools, StoreError};

/// The interval at which SQLite is polled for other processes' writes.
const POLL: Duration = Duration::from_secs(1);
/// The delay before reconnecting.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between heartbeats on the notification connection.
pub const HEARTBEAT: Duration = Duration::from_secs(8);
/// How many heartbeats may be missed before the connection counts as lost.
const MISSED: u32 = 3;
/// The channel of heartbeats. Those of other nodes serve as well as this node's own.
const HEARTBEATS: &str = "tollgate_heartbeat";

/// Listens until `stop`. A notification connection that has been silent for three heartbeats counts
/// as lost: a network that drops packets closes no connection.
pub async fn run(core: Arc<Core>, heartbeat: Duration, stop: CancellationToken) {
    let listening = async {
        let invalidation = core.cache().invalidation();
        match core.db() {
            Db::Postgres(pool) => tokio::join!(listen(invalidation, pool, heartbeat), beat(pool, heartbeat)).0,
            Db::Sqlite(pools) => poll(invalidation, pools).await,
        }
    };
    stop.run_until_cancelled(listening).await;
}

async fn listen(invalidation: &Invalidation, pool: &PgPool, heartbeat: Duration) {
    loop {
        let ended = listen_once(invalidation, pool, heartbeat).await;
        invalidation.trust(false);
        if let Err(error) = ended {
            tracing::warn!(%error, "lost the notification connection; bypassing the cache");
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// Why listening ended, other than by a connection that was closed.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("the connection is silent")]
    Silent,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Returns when the connection is lost, and with it perhaps a notification.
async fn listen_once(invalidation: &Invalidation, pool: &PgPool, heartbeat: Duration) -> Result<(), ListenError> {
    let silence = heartbeat * MISSED;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(pool)).await;
    let mut listener = connected.map_err(|_| ListenError::Silent)??;
    invalidation.trust(true);
    loop {
        let received = tokio::time::timeout(silence, listener.try_recv()).await.map_err(|_| ListenError::Silent)?;
        let Some(notification) = received? else { return Ok(()) };
        if notification.channel() == CHANNEL {
            invalidation.invalidate(notification.payload());
        }
    }
}

/// Creates a separate pool of one connection: the shared pool may be exhausted, and returning a silent
/// connection to it would wait for a response.
fn apart_from(pool: &PgPool) -> PgPool {
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT);
    options.connect_lazy_with((*pool.connect_options()).clone())
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(&apart_from(pool)).await?;
    // Notifications are lost with a connection, so the caller has to know before there is another.
    listener.eager_reconnect(false);
    listener.listen_all([CHANNEL, HEARTBEATS]).await?;
    Ok(listener)
}

/// Sends heartbeats, which come back on the notification connection.
async fn beat(pool: &PgPool, heartbeat: Duration) {
    let mut db = Db::Postgres(apart_from(pool));
    loop {
        tokio::time::sleep(heartbeat).await;
        // A late heartbeat is as bad as none: the connection then counts as silent.
        match tokio::time::timeout(heartbeat, send_heartbeat(&db)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => tracing::warn!(%error, "a heartbeat could not be sent"),
            Err(_) => tracing::warn!("a heartbeat timed out"),
        }
        db = Db::Postgres(apart_from(pool));
    }
}

async fn send_heartbeat(db: &Db) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.notify(HEARTBEATS, "").await?;
    tx.commit().await
}

/// Returns a number that changes when another process writes. Commands also report their commits, so that what
/// they revoke ends immediately; other programs do not.
async fn listen_to_processes(invalidation: &Invalidation, pools: &SqlitePools) -> Result<i64, StoreError> {
    invalidation.listen_to_other_processes()?;
    pools.data_version().await
}

async fn poll(invalidation: &Invalidation, pools: &SqlitePools) {
    let mut seen = None;
    loop {
        match listen_to_processes(invalidation, pools).await {
            Ok(now) if seen == Some(now) => {}
            // Also the first time: earlier reads may predate other processes' writes.
            Ok(now) => {
                seen = Some(now);
                invalidation.trust(true);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot detect other processes' writes; bypassing the cache");
                seen = None;
                invalidation.trust(false);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
