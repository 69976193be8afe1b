//! A request's address, whichever router it has reached.

use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use url::{Position, Url};

use crate::settings::Urls;

/// Returns the URI as the client sent it: a nested router sees it without the prefix.
pub(super) fn uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// Returns the host that a request names, with its port if it has one. HTTP/2 sends it in the URI, and HTTP/1 in a
/// header. Empty if it is unreadable, and `None` if the request names none.
pub fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = || headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    uri.authority().map(|authority| authority.as_str()).or_else(header)
}

/// Returns the address of the request, with its path in this spelling.
pub(super) fn address(parts: &Parts, path: &str) -> String {
    uri(parts).query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Returns the address that a browser returns to once it is admitted: the requested one, with its path in this
/// spelling, or the page with the form that it posted.
pub(super) fn return_address(parts: &Parts, path: &str, urls: &Urls) -> Option<String> {
    if is_read(parts) { Some(address(parts, path)) } else { form_page(parts, urls) }
}

/// Returns whether the request only reads, so that a browser can return to its address.
pub(super) fn is_read(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
}

/// Returns the page with the form that was posted, from the `Referer`. `None` if another site sent it, or if it
/// is the address that the form is posted to, which need not be a page.
fn form_page(parts: &Parts, urls: &Urls) -> Option<String> {
    let referer = Url::parse(parts.headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    let host = host(uri(parts), &parts.headers);
    let is_own = referer.origin() == urls.success.origin()
        || host.is_some_and(|host| host == &referer[Position::BeforeHost..Position::AfterPort]);
    let is_page = !referer.path().starts_with("//") && referer.path() != uri(parts).path();
    (is_own && is_page).then(|| referer[Position::BeforePath..Position::AfterQuery].to_owned())
}
