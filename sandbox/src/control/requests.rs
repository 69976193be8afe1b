//! `/_sandbox/requests`: what the application asked, and what it was answered.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Asked, ask, badge, body, filter, pager, screen, select, status, table, text, time, to};
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox/requests";

/// `GET /_sandbox/requests`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let list = match ask(&shared, "requests", &asked.with(&[("limit", "50")])) {
        Ok(list) => list,
        Err(refusal) => return *refusal,
    };
    let methods = [("", "any"), ("GET", "GET"), ("POST", "POST"), ("DELETE", "DELETE")];
    let fields = [
        select("method", "Method", &methods, asked.get("method")),
        text("path", "Path begins with", asked.get("path")),
        text("status", "Status", asked.get("status")),
        text("object", "Object", asked.get("object")),
        text("idempotency_key", "Idempotency key", asked.get("idempotency_key")),
    ];
    let main = format!("{}{}{}", filter(HERE, &fields.concat()), rows(&list), pager(HERE, &asked, &list));
    screen(HERE, "Requests", &asked, &main)
}

/// A table of requests.
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
    let heads = ["When", "Request", "Status", "On purpose", "Idempotency key"];
    table("Requests", &heads, &rows, "API calls appear here, newest first.")
}

/// `GET /_sandbox/requests/{request}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let request = match ask(&shared, &format!("requests/{id}"), "") {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let parameters: Vec<Vec<String>> = request
        .list("parameters")
        .iter()
        .map(|pair| {
            let part = |place: usize| esc(pair.get(place).and_then(Value::as_str).unwrap_or_default());
            vec![format!("<code>{}</code>", part(0)), format!("<code>{}</code>", part(1))]
        })
        .collect();
    let touched: String =
        request.list("touched").iter().filter_map(Value::as_str).map(|id| format!("<li>{}</li>", to(id))).collect();
    let told = match ask(&shared, "events", &format!("limit=100&object={id}")) {
        Ok(events) => events,
        Err(refusal) => return *refusal,
    };
    let told: String = told
        .list("data")
        .iter()
        .map(|event| format!("<li>{} {}</li>", to(event.text("id")), esc(event.text("type"))))
        .collect();
    let main = format!(
        r#"<dl class="facts">
<div><dt>When</dt><dd>{when}</dd></div>
<div><dt>Status</dt><dd>{status} {fault}</dd></div>
<div><dt>Took</dt><dd>{took} ms</dd></div>
<div><dt>API version</dt><dd>{version}</dd></div>
<div><dt>Idempotency key</dt><dd><code>{key}</code> {replayed}</dd></div>
<div><dt>Id</dt><dd><code>{id}</code></dd></div>
</dl>
<h2>Parameters</h2>{parameters}
<h2>Objects</h2><ul>{touched}</ul>
<h2>Events</h2><ul>{told}</ul>
<h2>Answer</h2>{answer}"#,
        when = time(request.int("created")),
        status = status(request.int("status")),
        fault = badge(request.text("fault")),
        took = request.int("took_ms"),
        version = esc(request.text("version")),
        key = esc(request.some("idempotency_key").unwrap_or("none")),
        replayed =
            request.some("replayed").map_or_else(String::new, |first| format!("(the answer to {} again)", to(first))),
        id = esc(&id),
        parameters = table("Parameters", &["Name", "Value"], &parameters, "None."),
        answer = body(&shared, request.text("answer")),
    );
    screen(HERE, &format!("{} {}", request.text("method"), request.text("path")), &asked, &main)
}
