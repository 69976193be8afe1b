//! `/v1/credit_notes`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::credit_note;
use crate::http::call::{Call, Route, route};
use crate::http::list::{filtered, page};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/credit_notes", |tx, call| credit_note::create(tx, &call.params)),
    route("GET /v1/credit_notes", |tx, call| filtered(tx, call, "credit_note", &["customer", "invoice"])),
    route("GET /v1/credit_notes/:id", |tx, call| tx.find("credit_note", &call.id)),
    route("POST /v1/credit_notes/:id", |tx, call| credit_note::annotate(tx, &call.id, &call.params)),
    route("GET /v1/credit_notes/:id/lines", lines),
    route("POST /v1/credit_notes/:id/void", |tx, call| credit_note::void(tx, &call.id)),
];

fn lines(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let note = tx.find("credit_note", &call.id)?;
    page(call, note.data("lines"))
}
