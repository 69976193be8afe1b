//! Building blocks of all pages.
//!
//! Invariant: untrusted text is escaped by [`esc`].

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::state::Shared;

/// The state extractor of handlers.
pub(crate) type App = axum::extract::State<Arc<Shared>>;

/// Escapes text for HTML elements and quoted attributes.
pub(crate) fn esc(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Escapes a URL for `href`; only HTTP, HTTPS and absolute paths are allowed.
pub(crate) fn link(url: &str) -> String {
    match url.starts_with("http://") || url.starts_with("https://") || url.starts_with('/') {
        true => esc(url),
        false => "#".to_owned(),
    }
}

/// Renders a page around its main content.
pub(crate) fn page(status: StatusCode, title: &str, main: &str) -> Response {
    document(status, title, "", &format!("<main>\n{main}\n</main>"))
}

/// Renders a page around its body; `head` is appended to the head.
pub(crate) fn document(status: StatusCode, title: &str, head: &str, body: &str) -> Response {
    let title = esc(title);
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="/_sandbox/style.css">
<link rel="icon" href="data:,">
{head}</head>
<body>
<header class="banner"><p><strong>Sandbox:</strong> no real money</p></header>
{body}
</body>
</html>
"#
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, html).into_response()
}

/// Renders a page with a message.
pub(crate) fn notice(status: StatusCode, title: &str, text: &str, link_to: Option<(&str, &str)>) -> Response {
    let link_to = link_to.map_or_else(String::new, |(url, label)| {
        format!(r#"<p><a class="button" href="{}">{}</a></p>"#, link(url), esc(label))
    });
    let main = format!(r#"<div class="card narrow"><h1>{}</h1><p>{}</p>{link_to}</div>"#, esc(title), esc(text));
    page(status, title, &main)
}

/// Redirects with `303 See Other`, so that the browser uses GET.
pub(crate) fn see_other(url: &str) -> Response {
    match HeaderValue::from_str(url) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => notice(StatusCode::INTERNAL_SERVER_ERROR, "Cannot redirect", "The return URL is invalid.", None),
    }
}

/// Serves the stylesheet of all pages.
pub(crate) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=300")];
    (headers, include_str!("style.css")).into_response()
}
