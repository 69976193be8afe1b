//! `/v1/subscription_schedules`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::schedule;
use crate::http::call::{Call, Route, route};
use crate::http::list::{matches_filters, page};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/subscription_schedules", |tx, call| schedule::create(tx, &call.params)),
    route("GET /v1/subscription_schedules", list),
    route("GET /v1/subscription_schedules/:id", |tx, call| tx.find("subscription_schedule", &call.id)),
    route("POST /v1/subscription_schedules/:id", |tx, call| schedule::update(tx, &call.id, &call.params)),
    route("POST /v1/subscription_schedules/:id/cancel", |tx, call| schedule::cancel(tx, &call.id, &call.params)),
    route("POST /v1/subscription_schedules/:id/release", |tx, call| schedule::release(tx, &call.id)),
];

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let scheduled = call.params.flag("scheduled");
    let all = tx.newest("subscription_schedule");
    page(
        call,
        all.filter(|schedule| {
            matches_filters(call, schedule, &["customer"]) && (!scheduled || schedule.text("status") == "not_started")
        }),
    )
}
