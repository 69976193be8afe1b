//! Buying something once.

#[cfg(feature = "ssr")]
use billing::Policy;
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
#[cfg(feature = "ssr")]
use crate::query::address;

/// Leads to Stripe's page for a product. Price and quantity are the server's to choose.
#[server(prefix = "/api/billing", endpoint = "checkout", protocol = StrictForm)]
pub async fn start_purchase(
    /// The product's key in the catalogue.
    product: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::require(Policy::SignedIn)?;
    match checkout::start_purchase(&tollgate, permit.account_id(), &product).await {
        Ok(url) => Ok(SeeOther::to(url)),
        // Another tab was faster, and bought what is wanted here.
        Err(CheckoutError::JustBought(session)) => {
            Ok(SeeOther::to(address("/billing/success", &[("session_id", session.as_str())])))
        }
        Err(CheckoutError::Unknown) => {
            Err(ApiError::about_the_form(Failure::Invalid, "That is not for sale. Choose one of these."))
        }
        Err(error) => Err(Failure::checkout(error).into()),
    }
}
