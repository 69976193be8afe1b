//! Delivering billing changes to the host's handler.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::backoff::backoff;
use crate::changes::{BillingChange, ChangeHandler};
use crate::core::Core;
use crate::ids;
use crate::store::StoreError;
use crate::store::billing_changes::{self as rows, StoredChange};

/// The maximum wait between two polls.
const IDLE: Duration = Duration::from_secs(5);
/// The maximum number of concurrent deliveries, each of another account.
const MAX_DELIVERIES: usize = 32;
/// The timeout of the handler. After it the delivery counts as failed and is retried.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The duration of a lease, in seconds: longer than the handler's timeout.
const LEASE: i64 = 60;
/// The maximum delay before a change is redelivered, in seconds.
const MAX_BACKOFF: i64 = 3600;

type Deliveries = JoinSet<Result<(), StoreError>>;

/// Delivers until `stop`, and then finishes the deliveries in progress. An account with a slow handler
/// does not delay the others.
pub async fn run(core: Arc<Core>, handler: ChangeHandler, stop: CancellationToken) {
    let mut deliveries = Deliveries::new();
    while !stop.is_cancelled() {
        if let Err(error) = start_due(&core, &handler, &mut deliveries).await {
            tracing::error!(%error, "cannot read billing changes");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = core.wake_changes().notified() => {}
            // The account may have another change.
            Some(ended) = deliveries.join_next() => report(ended),
            () = tokio::time::sleep(IDLE) => {}
        }
    }
    while let Some(ended) = deliveries.join_next().await {
        report(ended);
    }
}

/// Delivers the oldest due change of each account, and returns the number of deliveries.
pub async fn deliver_due(core: &Arc<Core>, handler: &ChangeHandler) -> Result<usize, StoreError> {
    let mut deliveries = Deliveries::new();
    start_due(core, handler, &mut deliveries).await?;
    let results = deliveries.join_all().await;
    let delivered = results.len();
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(delivered)
}

/// Starts delivering the oldest due change of each account, within the limit on concurrent `deliveries`.
async fn start_due(core: &Arc<Core>, handler: &ChangeHandler, deliveries: &mut Deliveries) -> Result<(), StoreError> {
    let room = MAX_DELIVERIES.saturating_sub(deliveries.len());
    if room == 0 {
        return Ok(());
    }
    let owner = ids::new_id();
    let now = core.now();
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    for change in rows::claim(core.db(), &owner, now, now.plus_seconds(LEASE), limit).await? {
        let (core, handler, owner) = (Arc::clone(core), handler.clone(), owner.clone());
        deliveries.spawn(async move { deliver(&core, &handler, &change, &owner).await });
    }
    Ok(())
}

/// Logs a delivery that could not be settled. It is retried when its lease expires.
fn report(ended: Result<Result<(), StoreError>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "cannot settle a delivery; it will be retried"),
        Err(error) => tracing::error!(%error, "a delivery ended early; it will be retried"),
    }
}

async fn deliver(core: &Core, handler: &ChangeHandler, stored: &StoredChange, owner: &str) -> Result<(), StoreError> {
    let change = BillingChange::from(stored.clone());
    let id = change.id();
    // In its own task, so that a panic is a failed delivery like any other. The handler is called
    // there: it may also panic before it returns a future.
    let handler = handler.clone();
    let mut running = tokio::spawn(async move { handler.call(change).await });
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
