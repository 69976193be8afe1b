//! `POST /logout`, without a form that could be invalid. Not a server function, because the response
//! sets a cookie and anyone may send it.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use server::Tollgate;
use server::auth::{self, Session};

use crate::document;
use crate::failure::Failure;

pub async fn log_out(State(tollgate): State<Tollgate>, parts: Parts, mut session: Session) -> Response {
    match auth::logout(&mut session).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
