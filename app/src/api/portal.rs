//! Stripe's customer portal.

#[cfg(feature = "ssr")]
use axum::http::Method;
#[cfg(feature = "ssr")]
use billing::Policy;
#[cfg(feature = "ssr")]
use engine::portal::{self, PortalFlow};
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use server::portal_return;

use super::error::ApiError;
use super::reply::SeeOther;
use super::strict_form::{StrictForm, StrictQuery};
#[cfg(feature = "ssr")]
use crate::caller::Caller;
#[cfg(feature = "ssr")]
use crate::failure::Failure;

/// Redirects to Stripe's customer portal, where cards, invoices and the plan are managed.
#[server(prefix = "/api/billing", endpoint = "portal", protocol = StrictForm)]
pub async fn open_portal(
    /// `card` to update the card; empty for the portal's home page.
    #[server(default)]
    flow: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::calling_stripe()?;
    let flow = match flow.as_str() {
        "" => PortalFlow::Home,
        "card" => PortalFlow::Card,
        _ => return Err(Failure::Malformed.into()),
    };
    Ok(SeeOther::to(portal::open(&tollgate, permit.account_id(), flow).await.map_err(Failure::checkout)?))
}

/// Fetches from Stripe what was changed in the portal, and redirects to the billing page, which then shows it even
/// if the webhook has not arrived.
#[server(prefix = "/billing", endpoint = "return", protocol = StrictQuery)]
pub async fn return_from_portal() -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::require(Policy::SignedIn)?;
    // HEAD only asks where the link leads.
    if use_context::<Method>() == Some(Method::GET) {
        portal_return::refresh(&tollgate, permit.account_id()).await;
    }
    Ok(SeeOther::to("/billing"))
}
