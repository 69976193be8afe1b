//! `POST /logout`

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::{self, Session};

use super::form::Form;
use crate::document;
use crate::failure::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOut {}

pub async fn log_out(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    mut session: Session,
    Form(LogOut {}): Form<LogOut>,
) -> Response {
    match auth::logout(&mut session).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
