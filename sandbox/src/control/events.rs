//! `/_sandbox/events`: what has happened, and who was told.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::deliveries;
use super::view::{Asked, ask, filter, form, number, pager, pretty, screen, table, text, time, to};
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox/events";

/// `GET /_sandbox/events`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let list = match ask(&shared, "events", &asked.with(&[("limit", "50")])) {
        Ok(list) => list,
        Err(refusal) => return *refusal,
    };
    let fields = format!(
        "{}{}",
        text("type", "Type, like invoice.*", asked.get("type")),
        text("object", "Object or customer", asked.get("object"))
    );
    let main = format!("{}{}{}", filter(HERE, &fields), rows(&list), pager(HERE, &asked, &list));
    screen(HERE, "Events", &asked, &main)
}

/// A table of events.
pub(super) fn rows(list: &Value) -> String {
    let rows: Vec<Vec<String>> = list
        .list("data")
        .iter()
        .map(|event| {
            let kind = format!(r#"<a href="{HERE}/{}">{}</a>"#, event.text("id"), esc(event.text("type")));
            let waiting = match event.int("pending_webhooks") {
                0 => String::new(),
                count => format!("{count} to deliver"),
            };
            vec![time(event.int("created")), kind, to(event["data"]["object"].text("id")), waiting]
        })
        .collect();
    table("Events", &["When", "Type", "About", "Webhooks"], &rows, "Each change appears here, newest first.")
}

/// `GET /_sandbox/events/{event}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let found = match ask(&shared, &format!("events/{id}"), "") {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let event = &found["event"];
    let here = format!("{HERE}/{id}");
    let replay = form(&format!("events/{id}/replay"), &number("times", "times", "Times", 1), "Deliver again", &here);
    let caused = match event["request"].some("id") {
        Some(request) => format!("by the request {}", to(request)),
        None => "by time, a page or the controls".to_owned(),
    };
    let main = format!(
        r#"<p>{when} · about {about} · {caused}</p>
{replay}
<h2>Deliveries</h2>{deliveries}
<h2>Payload</h2>{payload}"#,
        when = time(event.int("created")),
        about = to(event["data"]["object"].text("id")),
        deliveries = deliveries::rows(&shared, found.list("deliveries"), &here),
        payload = pretty(&shared, event),
    );
    screen(HERE, event.text("type"), &asked, &main)
}
