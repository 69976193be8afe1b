//! `/v1/refunds`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::refund;
use crate::http::call::{Call, Route, route};
use crate::http::list::filtered;
use crate::objects::{IntentStatus, PaymentIntent};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/refunds", create),
    route("GET /v1/refunds", |tx, call| filtered(tx, call, "refund", &["charge", "payment_intent"])),
    route("GET /v1/refunds/:id", |tx, call| tx.find("refund", &call.id)),
    route("POST /v1/refunds/:id", |tx, call| refund::annotate(tx, &call.id, &call.params)),
    route("POST /v1/refunds/:id/cancel", cancel),
];

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let charge = match (params.some("charge"), params.some("payment_intent")) {
        (Some(id), _) => tx.named("charge", id, "charge")?,
        (None, Some(id)) => {
            let intent: PaymentIntent = tx.read_param(id, "payment_intent")?;
            let charge = intent.latest_charge.filter(|_| intent.status == IntentStatus::Succeeded);
            let charge = charge.ok_or_else(|| {
                let message = format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
                ApiError::invalid("", message).on("payment_intent")
            })?;
            tx.find("charge", &charge)?
        }
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(ApiError::invalid("parameter_missing", message).on("payment_intent"));
        }
    };
    refund::create(tx, &charge, params.some_int("amount"), params.some("reason"), params)
}

/// Cancels a refund. The API allows this only while the refund requires action by the customer.
fn cancel(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let refund = tx.find("refund", &call.id)?;
    if refund.text("status") != "requires_action" {
        let message = format!(
            "You can only cancel a refund with a status of `requires_action`. This refund has a status of `{}`.",
            refund.text("status")
        );
        return Err(ApiError::invalid("", message));
    }
    refund::cancel(tx, &call.id)
}
