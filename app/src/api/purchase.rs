//! One-time purchases.

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

/// Redirects to Stripe Checkout for a product. The server chooses price and quantity.
#[server(prefix = "/api/billing", endpoint = "checkout", protocol = StrictForm)]
pub async fn start_purchase(
    /// The product's key in the catalog.
    product: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::calling_stripe()?;
    match checkout::start_purchase(&tollgate, permit.account_id(), &product).await {
        Ok(url) => Ok(SeeOther::to(url)),
        // The customer has just bought it in another tab.
        Err(CheckoutError::JustBought(session)) => {
            Ok(SeeOther::to(address("/billing/success", &[("session_id", session.as_str())])))
        }
        Err(CheckoutError::Unknown) => {
            Err(ApiError::form_error(Failure::Invalid, "This product isn't available. Choose another one."))
        }
        Err(error) => Err(Failure::checkout(error).into()),
    }
}
