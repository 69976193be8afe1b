//! The host that a request names. The app has one: cookies belong to it, and Stripe redirects back to it. Pages
//! under another name, such as the server's address or an old domain, redirect to `APP_URL`.
//!
//! Requests for a host of this machine are not redirected: a developer may use `127.0.0.1` for `localhost`, and
//! a proxy on this machine may not pass on the name. Any other proxy must, because a browser that is already at
//! `APP_URL` would be redirected there forever.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use engine::axum::host;
use url::Url;

use crate::config::is_this_machine;
use crate::cookie::{Cookie, SameSite};
use crate::tollgate::Tollgate;

/// Set with a redirect. The browser sends it only to the host that it requested, so it comes back here only in
/// a loop.
const REDIRECTED: Cookie = Cookie::new("tollgate-redirected", SameSite::Lax);
/// Far longer than a browser takes to follow a redirect, in seconds.
const SOON: u32 = 10;

/// Redirects a GET or HEAD request under another host name. The origin check handles other methods.
pub(super) async fn redirect(State(tollgate): State<Tollgate>, request: Request, next: Next) -> Response {
    let app_url = &tollgate.config().app_url;
    let is_https = tollgate.config().is_https();
    let (uri, headers) = (request.uri(), request.headers());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || is_own(app_url, uri, headers) {
        return next.run(request).await;
    }
    if REDIRECTED.read(headers, is_https).is_some() {
        warn_of_loop(app_url, host(uri, headers).unwrap_or_default());
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut response =
        Redirect::permanent(&format!("{}{path}", app_url.origin().ascii_serialization())).into_response();
    // The host name may later be used for something else.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(cookie) = HeaderValue::from_str(&REDIRECTED.set("1", SOON, is_https)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Logs once that the redirects seem to loop.
fn warn_of_loop(app_url: &Url, host: &str) {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);
    if !HAS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            host,
            "a browser that was redirected to {app_url} came back under another host name: the proxy must pass on the Host header"
        );
    }
}

/// Returns whether a request is for the app's host or this machine. One without a host is not a browser's.
pub(super) fn is_own(app_url: &Url, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(named) = host(uri, headers) else { return true };
    let named = Url::parse(&format!("http://{named}"));
    named.is_ok_and(|named| named.host() == app_url.host() || is_this_machine(&named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_s_host_and_this_machine_are_its_own() {
        let app_url = Url::parse("https://app.example.com").unwrap();
        let path = Uri::from_static("/pricing");
        let names =
            |host: &str| is_own(&app_url, &path, &[(header::HOST, host.parse().unwrap())].into_iter().collect());
        for host in ["app.example.com", "APP.example.com:8443", "localhost:3000", "127.0.0.1", "[::1]:3000"] {
            assert!(names(host), "{host}");
        }
        for host in ["example.com", "app.example.com.evil.example", "app.example.com.", "203.0.113.7", "", "a b"] {
            assert!(!names(host), "{host}");
        }
        assert!(is_own(&app_url, &path, &HeaderMap::new()), "HTTP/1.0");
    }
}
