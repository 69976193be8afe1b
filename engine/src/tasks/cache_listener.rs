//! Listens for writes by others: other nodes on PostgreSQL, other processes on SQLite.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::cache::{CHANNEL, Invalidation};
use crate::core::Core;
use crate::store::{Db, SqlitePools};

/// The interval at which SQLite is polled for other processes' writes.
const POLL: Duration = Duration::from_secs(1);
/// The delay before reconnecting.
const RECONNECT: Duration = Duration::from_secs(1);

/// Listens until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let listening = async {
        match core.db() {
            Db::Postgres(pool) => listen(core.cache().invalidation(), pool).await,
            Db::Sqlite(pools) => poll(core.cache().invalidation(), pools).await,
        }
    };
    stop.run_until_cancelled(listening).await;
}

async fn listen(invalidation: &Invalidation, pool: &sqlx::PgPool) {
    loop {
        let ended = listen_once(invalidation, pool).await;
        invalidation.trust(false);
        if let Err(error) = ended {
            tracing::warn!(%error, "lost the connection for notifications; bypassing the cache");
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// Returns when the connection is lost, and with it perhaps a notification.
async fn listen_once(invalidation: &Invalidation, pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    invalidation.trust(true);
    while let Some(notification) = listener.try_recv().await? {
        invalidation.invalidate(notification.payload());
    }
    Ok(())
}

async fn poll(invalidation: &Invalidation, pools: &SqlitePools) {
    let mut seen = None;
    loop {
        match pools.data_version().await {
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
