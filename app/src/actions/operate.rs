//! `POST /admin/replay` and `/admin/compare`

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use billing::EventId;
use serde::Deserialize;
use server::reconcile::BrokenOff;
use server::sync::SyncError;
use server::{Tollgate, access, operations};

use super::Who;
use super::form::Form;
use crate::document;
use crate::failure::Failure;
use crate::query::address;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    id: String,
}

pub async fn replay(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Replay>,
) -> Response {
    let Ok(permit) = access::require_operator(&who) else {
        return document::failure(&tollgate, parts, Failure::NotFound).await;
    };
    let failure = match operations::replay(&tollgate, &permit, &EventId::new(&form.id)).await {
        Ok(true) => {
            let next = address("/admin/event", &[("id", form.id.as_str()), ("notice", "replayed")]);
            return Redirect::to(&next).into_response();
        }
        Ok(false) => Failure::NotFound,
        Err(cause) => Failure::store(cause),
    };
    document::failure(&tollgate, parts, failure).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

pub async fn compare(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(Nothing {}): Form<Nothing>,
) -> Response {
    let Ok(permit) = access::require_operator(&who) else {
        return document::failure(&tollgate, parts, Failure::NotFound).await;
    };
    let failure = match operations::compare(&tollgate, &permit).await {
        Err(BrokenOff { why: SyncError::Store(cause), .. }) => Failure::store(cause),
        Ok(false) => return Redirect::to("/admin/drift?notice=comparing").into_response(),
        // What stood in the way is written down with the run, and so is what was found before.
        Ok(true) | Err(_) => return Redirect::to("/admin/drift?notice=compared").into_response(),
    };
    document::failure(&tollgate, parts, failure).await
}
