//! Operators' actions. Everyone else gets a 404.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use {
    billing::{AccountId, EventId},
    engine::reconcile::Interrupted,
    engine::sync::SyncError,
    server::admin::{changes, drift, events},
};

use super::error::ApiError;
use super::reply::SeeOther;
use super::strict_form::StrictForm;
#[cfg(feature = "ssr")]
use crate::caller::Operator;
#[cfg(feature = "ssr")]
use crate::failure::Failure;
#[cfg(feature = "ssr")]
use crate::query::address;

/// Queues a stored event to be applied again.
#[server(prefix = "/admin", endpoint = "replay", protocol = StrictForm)]
pub async fn replay_event(
    /// Stripe's `evt_…`.
    id: String,
) -> Result<SeeOther, ApiError> {
    let Operator { tollgate, permit } = Operator::require()?;
    let is_due = events::replay(&tollgate, &permit, &EventId::new(&id)).await.map_err(Failure::store)?;
    if !is_due {
        return Err(Failure::NotFound.into());
    }
    Ok(SeeOther::to(address("/admin/event", &[("id", &id), ("notice", "replayed")])))
}

/// Delivers a billing change again now.
#[server(prefix = "/admin/changes", endpoint = "retry", protocol = StrictForm)]
pub async fn retry_change(
    /// The change's account.
    account: String,
    /// The change's number.
    number: i64,
) -> Result<SeeOther, ApiError> {
    let Operator { tollgate, permit } = Operator::require()?;
    let is_due = changes::retry(&tollgate, &permit, &AccountId::new(account), number).await.map_err(Failure::store)?;
    if !is_due {
        return Err(Failure::NotFound.into());
    }
    Ok(SeeOther::to("/admin/changes?notice=retried"))
}

/// Gives up on a billing change, so that the account's next one is delivered.
#[server(prefix = "/admin/changes", endpoint = "skip", protocol = StrictForm)]
pub async fn skip_change(
    /// The change's account.
    account: String,
    /// The change's number.
    number: i64,
) -> Result<SeeOther, ApiError> {
    let Operator { tollgate, permit } = Operator::require()?;
    let is_skipped =
        changes::skip(&tollgate, &permit, &AccountId::new(account), number).await.map_err(Failure::store)?;
    if !is_skipped {
        return Err(Failure::NotFound.into());
    }
    Ok(SeeOther::to("/admin/changes?notice=skipped"))
}

/// Compares the database with Stripe and repairs what is safe to repair.
#[server(prefix = "/admin", endpoint = "compare", protocol = StrictForm)]
pub async fn run_reconciliation() -> Result<SeeOther, ApiError> {
    let Operator { tollgate, permit } = Operator::require()?;
    match drift::compare(&tollgate, &permit).await {
        Err(Interrupted { cause: SyncError::Store(cause), .. }) => Err(Failure::store(cause).into()),
        Ok(false) => Ok(SeeOther::to("/admin/drift?notice=comparing")),
        // An interrupted run is stored with its error and its findings so far.
        Ok(true) | Err(_) => Ok(SeeOther::to("/admin/drift?notice=compared")),
    }
}
