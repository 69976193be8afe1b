//! `/_sandbox/deliveries`: deliveries of events to webhook endpoints.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{
    Query, badge, body, button, fetch, filter, form, link_to, number, pager, screen, select, status, table, text, time,
};
use crate::fields::Fields;
use crate::hosted::{App, esc};
use crate::state::Shared;

const HERE: &str = "/_sandbox/deliveries";

/// `GET /_sandbox/deliveries`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let found = fetch(&shared, "deliveries", &query.with(&[("limit", "50")]));
    let (list, state) = match (found, fetch(&shared, "state", "")) {
        (Ok(list), Ok(state)) => (list, state),
        (Err(page), _) | (_, Err(page)) => return *page,
    };
    let held = state["deliveries"].flag("held");
    let switch = match held {
        true => button("deliveries/release", "Release", &[], HERE, ""),
        false => button("deliveries/hold", "Hold", &[], HERE, ""),
    };
    let pending = match state["deliveries"].int("pending") {
        0 => String::new(),
        _ => pending_actions(HERE),
    };
    let fields = format!("{}{}", state_filter(query.get("state")), text("type", "Event type", query.get("type")));
    let main = format!(
        r#"<p>{}</p><div class="actions">{switch}{pending}</div>{}{}{}"#,
        if held { "Deliveries are on hold." } else { "Deliveries are sent automatically." },
        filter(HERE, &fields),
        rows(&shared, list.list("data"), HERE),
        pager(HERE, &query, &list),
    );
    screen(HERE, "Deliveries", &query, &main)
}

/// Renders a table of deliveries, with actions for pending ones.
pub(super) fn rows(shared: &Shared, deliveries: &[Value], back: &str) -> String {
    let inner = shared.lock();
    let url = |id: &str| inner.store.get(id).map_or("a deleted endpoint", |endpoint| endpoint.text("url")).to_owned();
    let rows: Vec<Vec<String>> = deliveries
        .iter()
        .map(|delivery| {
            let id = delivery.text("id");
            let actions = match delivery.text("state") {
                "pending" => format!(
                    r#"<div class="actions">{}{}</div>"#,
                    button(&format!("deliveries/{id}/deliver"), "Deliver now", &[], back, "second"),
                    button(&format!("deliveries/{id}/drop"), "Drop", &[], back, "second"),
                ),
                _ => String::new(),
            };
            vec![
                format!(r#"<a href="{HERE}/{id}">{}</a>"#, esc(delivery.text("type"))),
                esc(&url(delivery.text("endpoint"))),
                badge(delivery.text("state")),
                delivery.list("attempts").len().to_string(),
                last_response(delivery),
                actions,
            ]
        })
        .collect();
    let empty = "Deliveries appear here once an endpoint is registered and an event occurs.";
    table("Deliveries", &["Event", "Endpoint", "State", "Attempts", "Last response", ""], &rows, empty)
}

/// `GET /_sandbox/deliveries/{delivery}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let delivery = match fetch(&shared, &format!("deliveries/{id}"), "") {
        Ok(delivery) => delivery,
        Err(page) => return *page,
    };
    let here = format!("{HERE}/{id}");
    let act = |what: &str, label: &str| button(&format!("deliveries/{id}/{what}"), label, &[], &here, "second");
    let actions = match delivery.text("state") {
        "pending" => format!(
            r#"<div class="actions">{}{}{}</div>{}"#,
            act("deliver", "Deliver now"),
            act("duplicate", "Duplicate"),
            act("drop", "Drop"),
            form(&format!("deliveries/{id}/delay"), &number("seconds", "seconds", "Seconds", 60), "Delay", &here),
        ),
        _ => String::new(),
    };
    let attempts: Vec<Vec<String>> = delivery
        .list("attempts")
        .iter()
        .map(|one| {
            let response = one.some("response").or(one.some("error")).unwrap_or("");
            vec![
                time(one.int("at")),
                one.some_int("status").map_or_else(|| badge("failed"), status),
                format!("{} ms", one.int("took_ms")),
                format!("<code>{}</code>", esc(response)),
            ]
        })
        .collect();
    let main = format!(
        r#"<p>{state} · event {event} · to {url} · due {due}</p>
{actions}
<h2>Attempts</h2>{attempts}
<h2>Payload</h2>{payload}"#,
        state = badge(delivery.text("state")),
        event = link_to(delivery.text("event")),
        url = esc(delivery.some("url").unwrap_or("a deleted endpoint")),
        due = time(delivery.int("due") / 1000),
        attempts = table("Attempts", &["When", "Status", "Duration", "Response"], &attempts, "No attempts yet."),
        payload = body(&shared, delivery.text("payload")),
    );
    screen(HERE, &format!("Delivery of {}", delivery.text("type")), &query, &main)
}

/// Renders the actions for all pending deliveries.
pub(super) fn pending_actions(back: &str) -> String {
    let act = |path: &str, label: &str, fields: &[(&str, &str)]| {
        button(&format!("deliveries/{path}"), label, fields, back, "second")
    };
    [
        act("shuffle", "Shuffle", &[]),
        act("duplicate", "Duplicate", &[]),
        act("delay", "Delay by an hour", &[("seconds", "3600")]),
        act("drop", "Drop all", &[]),
    ]
    .concat()
}

/// Renders the filter by state.
fn state_filter(chosen: &str) -> String {
    let options =
        [("", "any"), ("pending", "pending"), ("delivered", "delivered"), ("failed", "failed"), ("dropped", "dropped")];
    select("state", "State", &options, chosen)
}

/// Renders the last response to a delivery.
fn last_response(delivery: &Value) -> String {
    let attempts = delivery.list("attempts");
    match attempts.last() {
        None => String::new(),
        Some(last) => last.some_int("status").map_or_else(|| badge("failed"), status),
    }
}
