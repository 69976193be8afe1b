//! `/v1/disputes`

use crate::flows::dispute::{self, Verdict};
use crate::http::call::{Route, route};
use crate::http::list::filtered;

pub(super) const ROUTES: &[Route] = &[
    route("GET /v1/disputes", |tx, call| filtered(tx, call, "dispute", &["charge", "payment_intent"])),
    route("GET /v1/disputes/:id", |tx, call| tx.find("dispute", &call.id)),
    route("POST /v1/disputes/:id", |tx, call| dispute::respond(tx, &call.id, &call.params)),
    // Closing a dispute accepts it, so it is lost.
    route("POST /v1/disputes/:id/close", |tx, call| dispute::close(tx, &call.id, Verdict::Lost)),
];
