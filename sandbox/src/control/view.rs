//! Building blocks of the control pages: the layout, tables, forms, JSON.
//!
//! Invariant: untrusted text is escaped by [`esc`], here or where it is put into a cell.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::api;
use crate::clock;
use crate::fields::Fields;
use crate::hosted::{document, esc, notice};
use crate::state::Shared;

/// The pages, in navigation order.
const PAGES: [(&str, &str); 6] = [
    ("/_sandbox", "Overview"),
    ("/_sandbox/objects", "Objects"),
    ("/_sandbox/events", "Events"),
    ("/_sandbox/deliveries", "Deliveries"),
    ("/_sandbox/requests", "Requests"),
    ("/_sandbox/faults", "Faults"),
];

/// The query of a page.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned();
        Self { pairs: pairs.filter(|(_, value)| !value.is_empty()).collect() }
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Returns the query with some values replaced, and without the last action's message.
    pub(super) fn with(&self, changes: &[(&str, &str)]) -> String {
        let kept = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = kept.filter(|(name, _)| *name != "done" && changes.iter().all(|(changed, _)| changed != name));
        let changes = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(changes)).finish()
    }
}

/// Queries the control API; an error is a page that shows it.
pub(super) fn fetch(shared: &Shared, path: &str, query: &str) -> Result<Value, Box<Response>> {
    api::call(shared, "GET", &format!("/_sandbox/api/{path}"), query).map_err(|body| {
        let error = &body["error"];
        let (status, title) = match error.text("code") {
            "resource_missing" => (StatusCode::NOT_FOUND, "Not found"),
            _ => (StatusCode::BAD_REQUEST, "Invalid request"),
        };
        Box::new(notice(status, title, error.text("message"), Some(("/_sandbox", "Overview"))))
    })
}

/// Renders a control page.
pub(super) fn screen(active: &str, title: &str, query: &Query, main: &str) -> Response {
    let links: String = PAGES
        .into_iter()
        .map(|(path, label)| {
            let current = match path == active {
                true => r#" aria-current="page""#,
                false => "",
            };
            format!(r#"<li><a href="{path}"{current}>{label}</a></li>"#)
        })
        .collect();
    let done = api::done(&json!({ "done": query.get("done") }));
    let done = done.map_or_else(String::new, |done| format!(r#"<p class="done" role="status">{done}</p>"#));
    let body = format!(
        r#"<nav class="pages" aria-label="Sandbox"><ul>{links}</ul></nav>
<main class="control">
{done}<h1>{}</h1>
{main}
</main>"#,
        esc(title)
    );
    document(StatusCode::OK, &format!("{title} · Sandbox"), "", &body)
}

/// Renders a time of the sandbox's clock.
pub(super) fn time(at: i64) -> String {
    format!(r#"<time datetime="{}">{}</time>"#, clock::iso(at), clock::stamp(at).trim_end_matches(" UTC"))
}

/// Renders a link to the page of an object, an event, a delivery or a request.
pub(super) fn link_to(id: &str) -> String {
    if id.is_empty() {
        return String::new();
    }
    let folder = match id.split('_').next() {
        Some("evt") => "events",
        Some("dlv") => "deliveries",
        Some("req") => "requests",
        _ => "objects",
    };
    format!(r#"<a href="/_sandbox/{folder}/{0}"><code>{0}</code></a>"#, esc(id))
}

/// Renders a status, colored by its meaning: good, bad, or in progress.
pub(super) fn badge(status: &str) -> String {
    let tone = match status {
        "delivered" | "succeeded" | "active" | "paid" | "complete" | "won" | "completed" => "good",
        "failed" | "dropped" | "canceled" | "unpaid" | "past_due" | "lost" | "void" | "uncollectible" | "corrupted" => {
            "bad"
        }
        "" => return String::new(),
        _ => "waits",
    };
    format!(r#"<span class="badge {tone}">{}</span>"#, esc(&status.replace('_', " ")))
}

/// Renders an HTTP status as a badge.
pub(super) fn status(code: i64) -> String {
    let tone = match code {
        200..=299 => "good",
        300..=499 => "waits",
        _ => "bad",
    };
    format!(r#"<span class="badge {tone}">{code}</span>"#)
}

/// Renders a table; the cells are HTML.
pub(super) fn table(label: &str, heads: &[&str], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() {
        return format!("<p class=\"muted\">{empty}</p>");
    }
    let heads: String = heads
        .iter()
        .map(|head| match *head {
            "" => "<td></td>".to_owned(),
            head => format!("<th scope=\"col\">{head}</th>"),
        })
        .collect();
    let rows: String = rows
        .iter()
        .map(|cells| {
            let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// Renders links to older entries and back to the newest.
pub(super) fn pager(path: &str, query: &Query, list: &Value) -> String {
    let last = list.list("data").last().map_or("", |object| object.text("id"));
    let older = match list.flag("has_more") {
        true => format!(r#"<a rel="next" href="{path}?{}">Older</a>"#, esc(&query.with(&[("starting_after", last)]))),
        false => String::new(),
    };
    let newest = match query.get("starting_after") {
        "" => String::new(),
        _ => format!(r#"<a href="{path}?{}">Newest</a>"#, esc(&query.with(&[("starting_after", "")]))),
    };
    match (newest.is_empty(), older.is_empty()) {
        (true, true) => String::new(),
        _ => format!(r#"<nav class="pager" aria-label="Pages of the list">{newest}{older}</nav>"#),
    }
}

/// Renders a button that calls a control and returns to the page.
pub(super) fn button(path: &str, label: &str, fields: &[(&str, &str)], back: &str, class: &str) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!(r#"<input type="hidden" name="{name}" value="{}">"#, esc(value)))
        .collect();
    format!(
        r#"<form method="post" action="/_sandbox/api/{path}"><input type="hidden" name="back" value="{}">{fields}<button class="small {class}">{label}</button></form>"#,
        esc(back)
    )
}

/// Renders a form that calls a control and returns to the page.
pub(super) fn form(path: &str, fields: &str, label: &str, back: &str) -> String {
    format!(
        r#"<form class="inline" method="post" action="/_sandbox/api/{path}"><input type="hidden" name="back" value="{}">{fields}<button class="small">{label}</button></form>"#,
        esc(back)
    )
}

/// Renders the form that filters a list.
pub(super) fn filter(path: &str, fields: &str) -> String {
    format!(
        r#"<form class="inline filter" method="get" action="{path}">{fields}<button class="small second">Filter</button></form>"#
    )
}

/// Renders a labeled text field.
pub(super) fn text(id: &str, label: &str, value: &str) -> String {
    format!(
        r#"<div><label for="{id}">{label}</label><input id="{id}" name="{id}" value="{}" autocomplete="off"></div>"#,
        esc(value)
    )
}

/// Renders a labeled number field; its name may differ from its id.
pub(super) fn number(id: &str, name: &str, label: &str, value: i64) -> String {
    format!(
        r#"<div><label for="{id}">{label}</label><input id="{id}" name="{name}" type="number" min="0" value="{value}"></div>"#
    )
}

/// Renders a labeled select; options are values and labels.
pub(super) fn select(id: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> String {
    let options: String = options
        .iter()
        .map(|(value, label)| {
            let selected = if *value == chosen { " selected" } else { "" };
            format!(r#"<option value="{value}"{selected}>{label}</option>"#)
        })
        .collect();
    format!(r#"<div><label for="{id}">{label}</label><select id="{id}" name="{id}">{options}</select></div>"#)
}

/// Formats JSON with links for ids and dates for timestamps.
pub(super) fn pretty(shared: &Shared, value: &Value) -> String {
    let inner = shared.lock();
    let known = |id: &str| inner.store.get(id).is_some();
    let mut out = String::from(r#"<pre class="json" tabindex="0"><code>"#);
    write(&mut out, value, 0, &known);
    out.push_str("</code></pre>");
    out
}

fn write(out: &mut String, value: &Value, depth: usize, known: &dyn Fn(&str) -> bool) {
    let indent = "  ".repeat(depth + 1);
    let end = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (index, (name, inner)) in map.iter().enumerate() {
                out.push_str(&format!(r#"{indent}<span class="key">"{}"</span>: "#, esc(name)));
                write(out, inner, depth + 1, known);
                out.push_str(if index + 1 < map.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{end}}}"));
        }
        Value::Array(elements) if !elements.is_empty() => {
            out.push_str("[\n");
            for (index, inner) in elements.iter().enumerate() {
                out.push_str(&indent);
                write(out, inner, depth + 1, known);
                out.push_str(if index + 1 < elements.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{end}]"));
        }
        Value::String(text) if text.contains('_') && known(text) => {
            let link = link_to(text).replace("<code>", "").replace("</code>", "");
            out.push_str(&format!("\"{link}\""));
        }
        Value::String(_) => out.push_str(&format!(r#"<span class="text">{}</span>"#, esc(&value.to_string()))),
        Value::Number(number) if is_timestamp(number) => {
            let at = number.as_i64().unwrap_or_default();
            out.push_str(&format!(
                r#"<span class="number">{at}</span> <span class="aside">{}</span>"#,
                clock::stamp(at)
            ));
        }
        other => out.push_str(&format!(r#"<span class="number">{}</span>"#, esc(&other.to_string()))),
    }
}

/// Returns whether a number looks like a timestamp: between 2020 and 2100.
fn is_timestamp(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|at| (1_577_836_800..4_102_444_800).contains(&at))
}

/// Formats a body, which may not be JSON.
pub(super) fn body(shared: &Shared, text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => pretty(shared, &value),
        Err(_) => format!(r#"<pre class="json" tabindex="0"><code>{}</code></pre>"#, esc(text)),
    }
}
