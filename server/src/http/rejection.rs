//! The response to a request that reaches no page.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tower::ServiceExt;

/// Renders the page for a status. `pages` reads the status from the request's extensions.
pub(super) async fn reject(pages: &Router, mut request: Request, status: StatusCode) -> Response {
    request.extensions_mut().insert(status);
    let Ok(mut response) = pages.clone().oneshot(request).await;
    // The page shows who is signed in.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
