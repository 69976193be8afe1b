//! Protection against cross-site request forgery: no other site can make a signed-in browser change
//! anything.
//!
//! The browser's own headers decide: `Sec-Fetch-Site` if it is sent, otherwise `Origin`. A client that
//! sends neither is not a browser, or so old that the cookie's `SameSite=Lax` has to suffice (OWASP,
//! "Cross-Site Request Forgery Prevention", fetch metadata). Pages and server functions are protected
//! for every method that can change something, and calls of the API that use a session for every method,
//! because reads are counted too. A call with an `Authorization` header uses no session.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use engine::axum::host;
use url::Url;

use super::host::is_own;
use super::rejection::reject;
use crate::tollgate::Tollgate;

/// Checks the origin of a request for a page or a server function.
pub(super) async fn check(
    State((tollgate, rejections)): State<(Tollgate, Router)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() || is_from_own_site(&tollgate, request.uri(), request.headers()) {
        return next.run(request).await;
    }
    reject(&rejections, request, StatusCode::FORBIDDEN).await
}

/// Returns whether an API call is allowed: it uses no session, or comes from this site.
pub(super) fn allows_call(tollgate: &Tollgate, uri: &Uri, headers: &HeaderMap) -> bool {
    let uses_session = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
    !uses_session || is_from_own_site(tollgate, uri, headers)
}

fn is_from_own_site(tollgate: &Tollgate, uri: &Uri, headers: &HeaderMap) -> bool {
    let is_own = is_same_site(&tollgate.config().app_url, uri, headers);
    if !is_own {
        tracing::warn!("a request from another site was blocked");
    }
    is_own
}

fn is_same_site(app_url: &Url, uri: &Uri, headers: &HeaderMap) -> bool {
    if !is_own(app_url, uri, headers) {
        return false;
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let is_own_origin = |origin: &str| {
        origin == app_url.origin().ascii_serialization()
            || Url::parse(origin).is_ok_and(|origin| {
                let host = host(uri, headers);
                host.is_some() && host == origin.host_str().map(|name| with_port(name, origin.port())).as_deref()
            })
    };
    match (text("sec-fetch-site"), text("origin")) {
        // A page that sends no referrer gives its origin as `null`.
        (Some("same-origin" | "none"), None | Some("null")) => true,
        (Some("same-origin" | "none") | None, Some(origin)) => is_own_origin(origin),
        (Some(_), _) => false,
        (None, None) => true,
    }
}

fn with_port(name: &str, port: Option<u16>) -> String {
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}
