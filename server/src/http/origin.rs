//! No other site may make a signed-in browser write.
//!
//! On every method that can change something, the browser's own word decides:
//! `Sec-Fetch-Site` where it is sent, else `Origin`. A client that sends neither is
//! no browser (or one so old that the cookie's `SameSite=Lax` must do). Requests
//! with an `Authorization` header are exempt: no browser adds that by itself.
//! (OWASP, "Cross-Site Request Forgery Prevention", fetch metadata.)

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::gatekeeper::refusal;
use crate::tollgate::Tollgate;

/// For pages: anybody else is shown why not.
pub(super) async fn check(
    State((tollgate, refusals)): State<(Tollgate, Router)>,
    request: Request,
    next: Next,
) -> Response {
    if is_from_here(&tollgate, &request) {
        return next.run(request).await;
    }
    refusal(&refusals, request, StatusCode::FORBIDDEN).await
}

/// Whether a request may change something for whoever's browser sends it.
pub(super) fn is_from_here(tollgate: &Tollgate, request: &Request) -> bool {
    let is_safe = request.method().is_safe() || request.headers().contains_key(header::AUTHORIZATION);
    let is_ours = is_safe || is_same_site(request.headers(), &tollgate.config().app_url);
    if !is_ours {
        tracing::warn!("a request from another site was refused");
    }
    is_ours
}

fn is_same_site(headers: &HeaderMap, app_url: &Url) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let origin_is_ours = |origin: &str| {
        origin == app_url.origin().ascii_serialization()
            || Url::parse(origin).is_ok_and(|origin| {
                let host = text("host");
                host.is_some() && host == origin.host_str().map(|name| with_port(name, origin.port())).as_deref()
            })
    };
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin" | "none"), None) => true,
        (Some("same-origin" | "none") | None, Some(origin)) => origin_is_ours(origin),
        (Some(_), _) => false,
        (None, None) => true,
    }
}

fn with_port(name: &str, port: Option<u16>) -> String {
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}
