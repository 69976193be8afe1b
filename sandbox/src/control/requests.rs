//! `/_sandbox/requests`: the application's API calls and their responses.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Query, badge, body, fetch, filter, link_to, pager, screen, select, status, table, text, time};
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox/requests";

/// `GET /_sandbox/requests`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let list = match fetch(&shared, "requests", &query.with(&[("limit", "50")])) {
        Ok(list) => list,
        Err(page) => return *page,
    };
    let methods = [("", "any"), ("GET", "GET"), ("POST", "POST"), ("DELETE", "DELETE")];
    let fields = [
        select("method", "Method", &methods, query.get("method")),
        text("path", "Path begins with", query.get("path")),
        text("status", "Status", query.get("status")),
        text("object", "Object", query.get("object")),
        text("idempotency_key", "Idempotency key", query.get("idempotency_key")),
    ];
    let main = format!("{}{}{}", filter(HERE, &fields.concat()), rows(&list), pager(HERE, &query, &list));
    screen(HERE, "Requests", &query, &main)
}

/// Renders a table of requests.
pub(super) fn rows(list: &Value) -> String {
    let rows: Vec<Vec<String>> = list
        .list("data")
        .iter()
        .map(|request| {
            let call = format!(
                r#"<a href="{HERE}/{}">{} {}</a>"#,
                request.text("id"),
                esc(request.text("method")),
                esc(request.text("path"))
            );
            vec![
                time(request.int("created")),
                call,
                status(request.int("status")),
                badge(request.text("fault")),
                format!("<code>{}</code>", esc(request.text("idempotency_key"))),
            ]
        })
        .collect();
    let heads = ["When", "Request", "Status", "Injected fault", "Idempotency key"];
    table("Requests", &heads, &rows, "No API calls yet.")
}

/// `GET /_sandbox/requests/{request}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let request = match fetch(&shared, &format!("requests/{id}"), "") {
        Ok(request) => request,
        Err(page) => return *page,
    };
    let parameters: Vec<Vec<String>> = request
        .list("parameters")
        .iter()
        .map(|pair| {
            let part = |index: usize| esc(pair.get(index).and_then(Value::as_str).unwrap_or_default());
            vec![format!("<code>{}</code>", part(0)), format!("<code>{}</code>", part(1))]
        })
        .collect();
    let touched: String = request
        .list("touched")
        .iter()
        .filter_map(Value::as_str)
        .map(|id| format!("<li>{}</li>", link_to(id)))
        .collect();
    let events = match fetch(&shared, "events", &format!("limit=100&object={id}")) {
        Ok(events) => events,
        Err(page) => return *page,
    };
    let events: String = events
        .list("data")
        .iter()
        .map(|event| format!("<li>{} {}</li>", link_to(event.text("id")), esc(event.text("type"))))
        .collect();
    let main = format!(
        r#"<dl class="facts">
<div><dt>When</dt><dd>{when}</dd></div>
<div><dt>Status</dt><dd>{status} {fault}</dd></div>
<div><dt>Duration</dt><dd>{took} ms</dd></div>
<div><dt>API version</dt><dd>{version}</dd></div>
<div><dt>Idempotency key</dt><dd><code>{key}</code> {replayed}</dd></div>
<div><dt>ID</dt><dd><code>{id}</code></dd></div>
</dl>
<h2>Parameters</h2>{parameters}
<h2>Objects</h2><ul>{touched}</ul>
<h2>Events</h2><ul>{events}</ul>
<h2>Response</h2>{response}"#,
        when = time(request.int("created")),
        status = status(request.int("status")),
        fault = badge(request.text("fault")),
        took = request.int("took_ms"),
        version = esc(request.text("version")),
        key = esc(request.some("idempotency_key").unwrap_or("none")),
        replayed = request.some("replayed").map_or_else(String::new, |first| format!("(replays {})", link_to(first))),
        id = esc(&id),
        parameters = table("Parameters", &["Name", "Value"], &parameters, "None."),
        response = body(&shared, request.text("response")),
    );
    screen(HERE, &format!("{} {}", request.text("method"), request.text("path")), &query, &main)
}
