//! Delivers billing changes to the host's handler.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backoff::backoff;
use crate::changes::{BillingChange, ChangeHandler};
use crate::core::Core;
use crate::ids;
use crate::store::StoreError;
use crate::store::billing_changes::{self as rows, StoredChange};

/// The longest wait between two looks for changes.
const IDLE: Duration = Duration::from_secs(5);
/// Changes that are delivered at a time, of as many accounts.
const BATCH: i64 = 32;
/// How long the handler may take. After that the delivery counts as failed and is repeated.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds that a claim holds: longer than the handler may take.
const LEASE: i64 = 60;
/// The longest wait before a change is delivered again, in seconds.
const MAX_BACKOFF: i64 = 3600;

/// Delivers until `stop`.
pub async fn run(core: Arc<Core>, handler: ChangeHandler, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match deliver_due(&core, &handler).await {
            Ok(0) => {}
            // The accounts may have further changes.
            Ok(_) => continue,
            Err(error) => tracing::error!(%error, "billing changes cannot be read"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = core.wake_changes().notified() => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

/// Delivers the oldest due change of each account, and returns how many deliveries that were.
pub async fn deliver_due(core: &Arc<Core>, handler: &ChangeHandler) -> Result<usize, StoreError> {
    let owner = ids::new_id();
    let now = core.now();
    let claimed = rows::claim(core.db(), &owner, now, now.plus_seconds(LEASE), BATCH).await?;
    let mut deliveries = JoinSet::new();
    for change in claimed {
        let (core, handler, owner) = (Arc::clone(core), handler.clone(), owner.clone());
        deliveries.spawn(async move { deliver(&core, &handler, &change, &owner).await });
    }
    let results = deliveries.join_all().await;
    let delivered = results.len();
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(delivered)
}

async fn deliver(core: &Core, handler: &ChangeHandler, stored: &StoredChange, owner: &str) -> Result<(), StoreError> {
    let change = BillingChange::from(stored.clone());
    let id = change.id();
    // In a task of its own, so that a panic is a failed delivery like any other.
    let mut running = tokio::spawn(handler.call(change));
    let error = match tokio::time::timeout(TIMEOUT, &mut running).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(panic)) => Some(format!("the handler panicked: {panic}")),
        Err(_) => {
            running.abort();
            Some(format!("the handler took longer than {} s", TIMEOUT.as_secs()))
        }
    };
    let mut tx = core.db().begin().await?;
    match error {
        None => rows::delivered(&mut tx, stored, owner, core.now()).await?,
        Some(error) => {
            tracing::warn!(error, attempts = stored.attempts, "billing change {id} was not accepted");
            let next = core.now().plus_seconds(backoff(stored.attempts, MAX_BACKOFF, &id));
            rows::reschedule(&mut tx, stored, owner, next, &error).await?;
        }
    }
    tx.commit().await
}
