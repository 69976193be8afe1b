//! `/v1/checkout/sessions`

use serde_json::Value;

use super::{Call, Route, matches_filters, page, route};
use crate::error::ApiError;
use crate::fields::{Fields, merge_metadata};
use crate::flows::checkout;
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/checkout/sessions", |tx, call| checkout::open(tx, &call.params)),
    route("GET /v1/checkout/sessions", list),
    route("GET /v1/checkout/sessions/:id", |tx, call| tx.find("checkout.session", &call.id)),
    route("POST /v1/checkout/sessions/:id", update),
    route("POST /v1/checkout/sessions/:id/expire", |tx, call| checkout::expire(tx, &call.id)),
    route("GET /v1/checkout/sessions/:id/line_items", line_items),
];

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let fields = ["customer", "payment_intent", "payment_link", "status", "subscription"];
    let email = call.params["customer_details"].some("email");
    let all = tx.newest("checkout.session");
    page(
        call,
        all.into_iter().filter(|session| {
            matches_filters(call, session, &fields)
                && email.is_none_or(|email| session["customer_details"].text("email") == email)
        }),
    )
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find("checkout.session", &call.id)?;
    tx.quietly(&call.id, |session| merge_metadata(session, &call.params));
    tx.find("checkout.session", &call.id)
}

fn line_items(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let session = tx.find("checkout.session", &call.id)?;
    page(call, session.list("_line_items"))
}
