//! The response to someone who has just logged in or signed up.

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use server::Tollgate;
use server::auth::{Device, safe_next};

use crate::after_form;

/// Redirects to `next`, with a cookie by which the device is recognized.
pub(super) async fn continue_to(tollgate: &Tollgate, parts: Parts, device: &Device, next: Option<&str>) -> Response {
    let cookie = device.cookie(tollgate.config().is_https());
    let mut response = after_form::go_to(tollgate, parts, safe_next(next)).await;
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
