//! Protection against cross-site request forgery: no other site can make a signed-in browser change
//! something.
//!
//! For every method that can change something, the browser's own headers decide: `Sec-Fetch-Site` if it
//! is sent, otherwise `Origin`. A client that sends neither is not a browser, or so old that the
//! cookie's `SameSite=Lax` has to suffice. Requests with an `Authorization` header are exempt, because
//! no browser adds it by itself (OWASP, "Cross-Site Request Forgery Prevention", fetch metadata).

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::refusal::refuse;
use crate::tollgate::Tollgate;

/// Checks the origin of a request for a page or a server function.
pub(super) async fn check(
    State((tollgate, refusals)): State<(Tollgate, Router)>,
    request: Request,
    next: Next,
) -> Response {
    if is_allowed(&tollgate, &request) {
        return next.run(request).await;
    }
    refuse(&refusals, request, StatusCode::FORBIDDEN).await
}

/// Whether a request may use the session of the browser that sent it.
pub(super) fn is_allowed(tollgate: &Tollgate, request: &Request) -> bool {
    let is_safe = request.method().is_safe() || request.headers().contains_key(header::AUTHORIZATION);
    let is_allowed = is_safe || is_same_site(request.headers(), &tollgate.config().app_url);
    if !is_allowed {
        tracing::warn!("a request from another site was blocked");
    }
    is_allowed
}

fn is_same_site(headers: &HeaderMap, app_url: &Url) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let is_own = |origin: &str| {
        origin == app_url.origin().ascii_serialization()
            || Url::parse(origin).is_ok_and(|origin| {
                let host = text("host");
                host.is_some() && host == origin.host_str().map(|name| with_port(name, origin.port())).as_deref()
            })
    };
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin" | "none"), None) => true,
        (Some("same-origin" | "none") | None, Some(origin)) => is_own(origin),
        (Some(_), _) => false,
        (None, None) => true,
    }
}

fn with_port(name: &str, port: Option<u16>) -> String {
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}
