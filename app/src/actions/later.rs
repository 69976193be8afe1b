//! Shows a form again with the time to wait before the next attempt.

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use server::Tollgate;

use crate::attempts::{busy, too_many_attempts};
use crate::document;
use crate::form_state::FormState;

/// Shows the form with a message about too many attempts.
pub(super) async fn too_many(
    tollgate: &Tollgate,
    parts: Parts,
    page: &str,
    state: FormState,
    retry_after: u64,
) -> Response {
    let state = state.form_error(too_many_attempts(retry_after));
    let response = document::page_again(tollgate, parts, page, StatusCode::TOO_MANY_REQUESTS, state).await;
    with_retry_after(response, retry_after)
}

/// Shows the form with a message that too many others are logging in or signing up.
pub(super) async fn unavailable(
    tollgate: &Tollgate,
    parts: Parts,
    page: &str,
    state: FormState,
    retry_after: u64,
) -> Response {
    let state = state.form_error(busy(retry_after));
    let response = document::page_again(tollgate, parts, page, StatusCode::SERVICE_UNAVAILABLE, state).await;
    with_retry_after(response, retry_after)
}

fn with_retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
