//! The response to someone who has just logged in or signed up.

use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use server::Tollgate;
use server::auth::{Device, safe_next};

/// Redirects to `next`, with a cookie by which the device is recognized.
pub(super) fn go_on(tollgate: &Tollgate, device: &Device, next: Option<&str>) -> Response {
    let cookie = device.cookie(tollgate.config().is_https());
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(safe_next(next))).into_response()
}
