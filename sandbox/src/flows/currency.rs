//! The currency of a customer.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::Tx;

/// Checks that a customer has no subscription and no pending invoice item in another currency: Stripe does
/// not combine two on one customer.
pub(crate) fn check(tx: &Tx<'_>, customer: &str, currency: &str) -> Result<(), ApiError> {
    let differs = |object: &&Value| object.text("currency") != currency;
    let is_running = |object: &&Value| !matches!(object.text("status"), "canceled" | "incomplete_expired");
    let is_pending = |object: &&Value| object["invoice"].is_null();
    let subscription = tx.referring("subscription", customer).filter(is_running).find(differs);
    let other = subscription.or_else(|| tx.referring("invoiceitem", customer).filter(is_pending).find(differs));
    let Some(other) = other else { return Ok(()) };
    Err(ApiError::invalid(
        "",
        format!(
            "You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, discount, quote, or invoice item with currency {}.",
            other.text("currency")
        ),
    ))
}
