//! Subscribing to a plan.

#[cfg(feature = "ssr")]
use engine::checkout::{self, CheckoutError};
use leptos::prelude::*;

use super::error::ApiError;
use super::reply::SeeOther;
use super::strict_form::StrictForm;
#[cfg(feature = "ssr")]
use crate::caller::Caller;
#[cfg(feature = "ssr")]
use crate::failure::Failure;

/// Redirects to Stripe Checkout for a plan. The server chooses price, trial and quantity.
#[server(prefix = "/api/billing", endpoint = "subscribe", protocol = StrictForm)]
pub async fn start_subscription(
    /// The plan's tier, in any case.
    plan: String,
    /// `month` or `year`.
    interval: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::calling_stripe()?;
    match checkout::start_subscription(&tollgate, permit.account_id(), &plan, &interval).await {
        Ok(url) => Ok(SeeOther::to(url)),
        Err(CheckoutError::AlreadySubscribed) => Ok(SeeOther::to("/billing?notice=already_subscribed")),
        Err(CheckoutError::SubscribedBefore(_)) => Ok(SeeOther::to("/billing?notice=subscribed_before")),
        Err(CheckoutError::Unknown | CheckoutError::NotForSale) => {
            Err(ApiError::form_error(Failure::Invalid, "This plan isn't available. Choose another one."))
        }
        Err(error) => Err(Failure::checkout(error).into()),
    }
}
