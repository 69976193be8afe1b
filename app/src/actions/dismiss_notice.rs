//! `POST /dashboard/notices/dismiss`

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::safe_next;
use server::usage::Threshold;

use super::Who;
use super::form::Form;
use crate::document;
use crate::failure::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dismiss {
    meter: String,
    percent: i64,
    next: Option<String>,
}

pub async fn dismiss(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Dismiss>,
) -> Response {
    let (Some(meter), Some(threshold)) = (tollgate.catalog().meter(&form.meter), Threshold::parse(form.percent)) else {
        return document::failure(&tollgate, parts, Failure::Malformed).await;
    };
    match tollgate.dismiss_notice(&who.account_id, meter, threshold).await {
        Ok(()) => Redirect::to(safe_next(form.next.as_deref())).into_response(),
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
