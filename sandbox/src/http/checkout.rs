//! `/v1/checkout/sessions`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, merge};
use crate::flows::checkout::{self, Payer, Submitted};
use crate::flows::payment;
use crate::http::call::{Call, Route, route};
use crate::http::list::{matches_filters, page};
use crate::objects::{CheckoutSession, Object};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/checkout/sessions", |tx, call| checkout::open(tx, &call.params)?.to_json()),
    route("GET /v1/checkout/sessions", list),
    route("GET /v1/checkout/sessions/:id", |tx, call| tx.find(CheckoutSession::KIND, &call.id)),
    route("POST /v1/checkout/sessions/:id", update),
    route("POST /v1/checkout/sessions/:id/expire", |tx, call| checkout::expire(tx, &call.id)?.to_json()),
    route("GET /v1/checkout/sessions/:id/line_items", line_items),
    route("GET /v1/payment_pages/:id", |tx, call| tx.find(CheckoutSession::KIND, &call.id)),
    route("POST /v1/payment_pages/:id/confirm", confirm),
];

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let fields = ["customer", "payment_intent", "payment_link", "status", "subscription"];
    let email = call.params["customer_details"].some("email");
    let all = tx.newest(CheckoutSession::KIND);
    page(
        call,
        all.filter(|session| {
            matches_filters(call, session, &fields)
                && email.is_none_or(|email| session["customer_details"].text("email") == email)
        }),
    )
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let updated = tx.update_quietly(&call.id, |session: &mut CheckoutSession| {
        merge(&mut session.metadata, &call.params);
    })?;
    updated.to_json()
}

fn line_items(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let session = tx.find(CheckoutSession::KIND, &call.id)?;
    page(call, session.list("_line_items"))
}

/// Pays a session like its page does, with a payment method instead of a card number.
fn confirm(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let session: CheckoutSession = tx.read(&call.id)?;
    if call.params.some_int("expected_amount").is_some_and(|amount| amount != session.amount_total) {
        let message = "The expected amount does not match the amount of the Checkout Session.";
        return Err(ApiError::invalid("checkout_amount_mismatch", message).on("expected_amount"));
    }
    let method = payment::method(tx, call.params.text("payment_method"), "payment_method")?;
    let billing = &method["billing_details"];
    let payer = Payer { email: billing.text("email").to_owned(), name: billing.text("name").to_owned() };
    match checkout::submit(tx, &call.id, &payer, Some(&method))? {
        Submitted::Complete(session) => session.to_json(),
        Submitted::Authenticate => tx.find(CheckoutSession::KIND, &call.id),
    }
}
