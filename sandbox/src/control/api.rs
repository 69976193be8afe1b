//! `/_sandbox/api/…`: the controls for programs, and for the forms of the control page.
//!
//! Invariant: what changes something is refused when a browser says that another site asks for
//! it; a program that is no browser says nothing and is let through. Proved by
//! `another_site_cannot_drive_the_sandbox`.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::form::{self, Node};
use crate::hosted::{App, notice, see_other};
use crate::http::Call;
use crate::params;
use crate::shape;
use crate::state::Shared;

/// More than any honest request.
const LARGEST_BODY: usize = 1 << 16;

/// Answers one call: with JSON, or by going back to the page whose form it was.
pub(crate) async fn answer(State(shared): App, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str();
    if method != "GET" && !is_same_site(&parts.headers) {
        let mut error = ApiError::invalid("", "Another site may not use the controls of this sandbox.");
        error.status = 403;
        return refusal(&error, None);
    }
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let json =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let query = parts.uri.query().unwrap_or_default();
    let (form, back) = match read(query, &body, json) {
        Ok(read) => read,
        Err(error) => return refusal(&error, None),
    };
    let outcome = carry_out(&shared, method, parts.uri.path(), &form);
    match (outcome, back) {
        (Ok((place, _)), Some(back)) => see_other(&with_done(&back, place)),
        (Ok((_, answer)), None) => axum::Json(answer).into_response(),
        (Err(error), back) => refusal(&error, back.as_deref()),
    }
}

/// The same for Rust, without HTTP.
pub(crate) fn call(shared: &Shared, method: &str, path: &str, query: &str) -> Result<Value, Value> {
    let outcome = read(query, b"", false).and_then(|(form, _)| carry_out(shared, method, path, &form));
    outcome.map(|(_, answer)| answer).map_err(|error| json!({ "error": error.fields() }))
}

fn carry_out(shared: &Shared, method: &str, path: &str, form: &Node) -> Result<(usize, Value), ApiError> {
    let (place, control, id) = controls::find(method, path).ok_or_else(|| ApiError::unknown_route(method, path))?;
    let call = Call {
        id,
        params: params::check(control.endpoint, form)?,
        path: path.to_owned(),
        version: shape::DEFAULT_VERSION.to_owned(),
    };
    shared.catch_up();
    (control.run)(shared, &call).map(|answer| (place, answer))
}

/// The parameters, and where a form of the control page wants to go back to. Fields of a form
/// that were left empty say nothing.
fn read(query: &str, body: &[u8], json: bool) -> Result<(Node, Option<String>), ApiError> {
    let mut form = match form::parse(query.as_bytes())? {
        Node::Branch(children) => children,
        Node::Text(_) => Vec::new(),
    };
    if json && !body.is_empty() {
        let sent: Value =
            serde_json::from_slice(body).map_err(|error| ApiError::invalid("", format!("Invalid JSON: {error}")))?;
        if let Node::Branch(children) = form::from_json(&sent) {
            form.extend(children);
        }
    } else if let Node::Branch(children) = form::parse(body)? {
        form.extend(children);
    }
    let back = form.iter().find_map(|(name, value)| match value {
        Node::Text(text) if name == "back" && text.starts_with("/_sandbox") => Some(text.clone()),
        _ => None,
    });
    form.retain(|(name, value)| name != "back" && *value != Node::Text(String::new()));
    Ok((Node::Branch(form), back))
}

fn with_done(back: &str, place: usize) -> String {
    let (page, fragment) =
        back.split_once('#').map_or((back, String::new()), |(page, rest)| (page, format!("#{rest}")));
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}done={place}{fragment}")
}

fn refusal(error: &ApiError, back: Option<&str>) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    match back {
        Some(back) => notice(status, "That could not be done", &error.message, Some((back, "Back"))),
        None => (status, axum::Json(json!({ "error": error.fields() }))).into_response(),
    }
}

/// Whether a request comes from a page of the sandbox itself, or from no page at all. A name
/// that somebody made point to this machine is not the sandbox either.
///
/// What the browser says about the site is believed before the origin: pages that send no
/// referrer have the origin `null`, and ours are such pages.
fn is_same_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or_default();
    let own = match (text("sec-fetch-site"), text("origin")) {
        (None, None) => return true,
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, sender)| sender == host),
    };
    own && is_this_machine(host)
}

fn is_this_machine(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

/// What a page says is done, by the place of the control in the list.
pub(super) fn done(query: &Value) -> Option<&'static str> {
    let place: usize = query.text("done").parse().ok()?;
    controls::CONTROLS.get(place).map(|control| control.done).filter(|done| !done.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{is_this_machine, with_done};

    #[test]
    fn only_addresses_and_localhost_are_this_machine() {
        for host in ["127.0.0.1:12111", "localhost:12111", "[::1]:80", "10.0.0.5", "app.localhost"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example:12111", "localhost.evil.example"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn what_was_done_stands_before_the_fragment() {
        assert_eq!(with_done("/_sandbox?a=1#x", 3), "/_sandbox?a=1&done=3#x");
        assert_eq!(with_done("/_sandbox", 3), "/_sandbox?done=3");
    }
}
