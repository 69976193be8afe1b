//! `POST /theme`. Not a server function: anyone may send it, and the response sets a cookie.

use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::safe_next;

use super::form::Form;
use crate::after_form;
use crate::document;
use crate::failure::Failure;
use crate::theme::Theme;

#[derive(Deserialize)]
pub struct Choice {
    theme: String,
    next: Option<String>,
}

pub async fn choose(State(tollgate): State<Tollgate>, parts: Parts, Form(form): Form<Choice>) -> Response {
    let Some(theme) = Theme::parse(&form.theme) else {
        return document::failure(&tollgate, parts, Failure::Malformed).await;
    };
    let cookie = theme.cookie(tollgate.config().is_https());
    let response = after_form::go_to(&tollgate, parts, safe_next(form.next.as_deref())).await;
    (AppendHeaders([(header::SET_COOKIE, cookie)]), response).into_response()
}
