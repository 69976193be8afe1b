//! The host that a request names. The app has one: cookies belong to it, and Stripe redirects back to it. Pages
//! under another name, such as the server's address or an old domain, redirect to `APP_URL`.
//!
//! A host of this machine is served as it is: a developer may use `127.0.0.1` for `localhost`, and a proxy
//! on this machine may not pass on the name.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;

use crate::config::is_this_machine;
use crate::tollgate::Tollgate;

/// Redirects a GET or HEAD request under another host name. The origin check handles other methods.
pub(super) async fn redirect(State(tollgate): State<Tollgate>, request: Request, next: Next) -> Response {
    let app_url = &tollgate.config().app_url;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || is_own(app_url, request.headers()) {
        return next.run(request).await;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut response =
        Redirect::permanent(&format!("{}{path}", app_url.origin().ascii_serialization())).into_response();
    // The host name may later be used for something else.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request is for the app's host or this machine. One without a host is not a browser's.
pub(super) fn is_own(app_url: &Url, headers: &HeaderMap) -> bool {
    let Some(named) = headers.get(header::HOST) else { return true };
    let named = named.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}")).ok());
    named.is_some_and(|named| named.host() == app_url.host() || is_this_machine(&named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_s_host_and_this_machine_are_its_own() {
        let app_url = Url::parse("https://app.example.com").unwrap();
        let names = |host: &str| is_own(&app_url, &[(header::HOST, host.parse().unwrap())].into_iter().collect());
        for host in ["app.example.com", "APP.example.com:8443", "localhost:3000", "127.0.0.1", "[::1]:3000"] {
            assert!(names(host), "{host}");
        }
        for host in ["example.com", "app.example.com.evil.example", "app.example.com.", "203.0.113.7", "", "a b"] {
            assert!(!names(host), "{host}");
        }
        assert!(is_own(&app_url, &HeaderMap::new()), "HTTP/1.0");
    }
}
