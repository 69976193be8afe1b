//! `/_sandbox/api/…`: the control API, which the forms of the control page also use.
//!
//! Invariant: actions are rejected when the browser reports that another site sent the request.
//! Other clients send no such headers and are accepted. Proved by
//! `another_site_cannot_use_the_control_api`.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api_version;
use crate::controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::form::{self, Node};
use crate::hosted::{App, notice, see_other};
use crate::http::Call;
use crate::params;
use crate::state::Shared;

/// The maximum size of a request body.
const MAX_BODY: usize = 1 << 16;

/// Responds to a call with JSON, or redirects to the page whose form sent it.
pub(crate) async fn handle(State(shared): App, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str();
    if method != "GET" && !is_same_site(&parts.headers) {
        let mut error = ApiError::invalid("", "Requests from other sites are not allowed.");
        error.status = 403;
        return error_response(&error, None);
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let json =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let query = parts.uri.query().unwrap_or_default();
    let (form, back) = match read(query, &body, json) {
        Ok(read) => read,
        Err(error) => return error_response(&error, None),
    };
    let outcome = execute(&shared, method, parts.uri.path(), &form);
    match (outcome, back) {
        (Ok((index, _)), Some(back)) => see_other(&with_done(&back, index)),
        (Ok((_, response)), None) => axum::Json(response).into_response(),
        (Err(error), back) => error_response(&error, back.as_deref()),
    }
}

/// Calls a control from Rust, without HTTP.
pub(crate) fn call(shared: &Shared, method: &str, path: &str, query: &str) -> Result<Value, Value> {
    let outcome = read(query, b"", false).and_then(|(form, _)| execute(shared, method, path, &form));
    outcome.map(|(_, response)| response).map_err(|error| json!({ "error": error.fields() }))
}

fn execute(shared: &Shared, method: &str, path: &str, form: &Node) -> Result<(usize, Value), ApiError> {
    let (index, control, id) = controls::find(method, path).ok_or_else(|| ApiError::unknown_route(method, path))?;
    let call = Call {
        id,
        params: params::check(control.endpoint, form)?,
        path: path.to_owned(),
        version: api_version::DEFAULT_VERSION.to_owned(),
    };
    shared.catch_up();
    (control.run)(shared, &call).map(|response| (index, response))
}

/// Returns the parameters, and the control page to return to, if any. Empty form fields are ignored.
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

fn with_done(back: &str, index: usize) -> String {
    let (page, fragment) =
        back.split_once('#').map_or((back, String::new()), |(page, rest)| (page, format!("#{rest}")));
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}done={index}{fragment}")
}

fn error_response(error: &ApiError, back: Option<&str>) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    match back {
        Some(back) => notice(status, "That didn't work", &error.message, Some((back, "Back"))),
        None => (status, axum::Json(json!({ "error": error.fields() }))).into_response(),
    }
}

/// Returns whether a request comes from one of the sandbox's pages, or not from a browser. A foreign host name
/// that resolves to this machine (DNS rebinding) is also rejected.
///
/// `Sec-Fetch-Site` takes precedence over `Origin`: pages that send no referrer, like the sandbox's,
/// have the origin `null`.
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

/// Returns the message of a completed action, given the index of its control.
pub(super) fn done(query: &Value) -> Option<&'static str> {
    let index: usize = query.text("done").parse().ok()?;
    controls::CONTROLS.get(index).map(|control| control.done).filter(|done| !done.is_empty())
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
    fn the_completed_action_precedes_the_fragment() {
        assert_eq!(with_done("/_sandbox?a=1#x", 3), "/_sandbox?a=1&done=3#x");
        assert_eq!(with_done("/_sandbox", 3), "/_sandbox?done=3");
    }
}
