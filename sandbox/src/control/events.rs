//! `/_sandbox/events`: events and their deliveries.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::deliveries;
use super::view::{Query, fetch, filter, form, link_to, number, pager, pretty, screen, table, text, time};
use crate::events::THIN;
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox/events";

/// `GET /_sandbox/events`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let list = match fetch(&shared, "events", &query.with(&[("limit", "50")])) {
        Ok(list) => list,
        Err(page) => return *page,
    };
    let fields = format!(
        "{}{}",
        text("type", "Type, e.g. invoice.*", query.get("type")),
        text("object", "Object or customer", query.get("object"))
    );
    let main = format!("{}{}{}", filter(HERE, &fields), rows(&list), pager(HERE, &query, &list));
    screen(HERE, "Events", &query, &main)
}

/// Renders a table of events.
pub(super) fn rows(list: &Value) -> String {
    let rows: Vec<Vec<String>> = list
        .list("data")
        .iter()
        .map(|event| {
            let kind = format!(r#"<a href="{HERE}/{}">{}</a>"#, event.text("id"), esc(event.text("type")));
            let waiting = match event.int("pending_webhooks") {
                0 => String::new(),
                count => format!("{count} pending"),
            };
            vec![time(event.int("created")), kind, link_to(event["data"]["object"].text("id")), waiting]
        })
        .collect();
    table("Events", &["When", "Type", "Object", "Deliveries"], &rows, "No events yet.")
}

/// `GET /_sandbox/events/{event}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let found = match fetch(&shared, &format!("events/{id}"), "") {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let event = &found["event"];
    let here = format!("{HERE}/{id}");
    if event.text("object") == THIN {
        let main = format!(
            r#"<p>{when} · about {about} · thin</p>
<h2>Deliveries</h2>{deliveries}
<h2>Payload</h2>{payload}"#,
            when = esc(event.text("created")),
            about = link_to(event["related_object"].text("id")),
            deliveries = deliveries::rows(&shared, found.list("deliveries"), &here),
            payload = pretty(&shared, event),
        );
        return screen(HERE, event.text("type"), &query, &main);
    }
    let replay = form(&format!("events/{id}/replay"), &number("times", "times", "Times", 1), "Deliver again", &here);
    let caused = match event["request"].some("id") {
        Some(request) => format!("caused by request {}", link_to(request)),
        None => "caused by the clock, a hosted page or a control".to_owned(),
    };
    let main = format!(
        r#"<p>{when} · about {about} · {caused}</p>
{replay}
<h2>Deliveries</h2>{deliveries}
<h2>Payload</h2>{payload}"#,
        when = time(event.int("created")),
        about = link_to(event["data"]["object"].text("id")),
        deliveries = deliveries::rows(&shared, found.list("deliveries"), &here),
        payload = pretty(&shared, event),
    );
    screen(HERE, event.text("type"), &query, &main)
}
