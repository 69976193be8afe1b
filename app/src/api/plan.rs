//! The account's plan.

#[cfg(feature = "ssr")]
use billing::Policy;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::reply::Reply;
use super::strict_form::StrictQuery;
#[cfg(feature = "ssr")]
use crate::caller::Caller;

/// The plan that an account is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentPlan {
    /// Its tier, such as `PRO`.
    pub tier: String,
    /// Its display name, such as `Pro`.
    pub name: String,
    /// One sentence about who it is for.
    pub summary: String,
    /// Whether it is above the free plan.
    pub is_paid: bool,
    /// Whether it is the highest plan.
    pub is_highest: bool,
}

impl Reply for CurrentPlan {}

/// Returns the account's plan.
#[server(name = GetCurrentPlan, prefix = "/api/billing", endpoint = "plan", protocol = StrictQuery)]
pub async fn current_plan() -> Result<CurrentPlan, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::require(Policy::SignedIn)?;
    let (catalog, entitlement) = (tollgate.catalog(), permit.entitlement());
    let plan = catalog.plan(&entitlement.tier).unwrap_or_else(|| catalog.free());
    Ok(CurrentPlan {
        tier: plan.tier.to_string(),
        name: plan.name.clone(),
        summary: plan.summary.clone(),
        is_paid: entitlement.rank > 0,
        is_highest: entitlement.rank + 1 == catalog.plans().len(),
    })
}
