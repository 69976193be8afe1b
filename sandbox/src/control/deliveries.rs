//! `/_sandbox/deliveries`: events on their way to webhook endpoints.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{
    Asked, ask, badge, body, button, filter, form, number, pager, screen, select, status, table, text, time, to,
};
use crate::fields::Fields;
use crate::hosted::{App, esc};
use crate::state::Shared;

const HERE: &str = "/_sandbox/deliveries";

/// `GET /_sandbox/deliveries`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let found = ask(&shared, "deliveries", &asked.with(&[("limit", "50")]));
    let (list, state) = match (found, ask(&shared, "state", "")) {
        (Ok(list), Ok(state)) => (list, state),
        (Err(refusal), _) | (_, Err(refusal)) => return *refusal,
    };
    let held = state["deliveries"].flag("held");
    let switch = match held {
        true => button("deliveries/release", "Let them go", &[], HERE, ""),
        false => button("deliveries/hold", "Hold back", &[], HERE, ""),
    };
    let pending = match state["deliveries"].int("pending") {
        0 => String::new(),
        _ => pending_actions(HERE),
    };
    let fields = format!("{}{}", state_filter(asked.get("state")), text("type", "Type of event", asked.get("type")));
    let main = format!(
        r#"<p>{}</p><div class="actions">{switch}{pending}</div>{}{}{}"#,
        if held { "Deliveries are held back." } else { "Deliveries go out." },
        filter(HERE, &fields),
        rows(&shared, list.list("data"), HERE),
        pager(HERE, &asked, &list),
    );
    screen(HERE, "Deliveries", &asked, &main)
}

/// A table of deliveries; what is pending can be acted on.
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
                delivery.list("tries").len().to_string(),
                last_answer(delivery),
                actions,
            ]
        })
        .collect();
    let empty = "Webhooks appear here once an endpoint is registered and something happens.";
    table("Deliveries", &["Event", "Endpoint", "State", "Tries", "Last answer", ""], &rows, empty)
}

/// `GET /_sandbox/deliveries/{delivery}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let delivery = match ask(&shared, &format!("deliveries/{id}"), "") {
        Ok(delivery) => delivery,
        Err(refusal) => return *refusal,
    };
    let here = format!("{HERE}/{id}");
    let act = |what: &str, label: &str| button(&format!("deliveries/{id}/{what}"), label, &[], &here, "second");
    let actions = match delivery.text("state") {
        "pending" => format!(
            r#"<div class="actions">{}{}{}</div>{}"#,
            act("deliver", "Deliver now"),
            act("duplicate", "Double"),
            act("drop", "Drop"),
            form(&format!("deliveries/{id}/delay"), &number("seconds", "seconds", "Seconds", 60), "Put off", &here),
        ),
        _ => String::new(),
    };
    let tries: Vec<Vec<String>> = delivery
        .list("tries")
        .iter()
        .map(|one| {
            let answer = one.some("answer").or(one.some("error")).unwrap_or("");
            vec![
                time(one.int("at")),
                one.some_int("status").map_or_else(|| badge("failed"), status),
                format!("{} ms", one.int("took_ms")),
                format!("<code>{}</code>", esc(answer)),
            ]
        })
        .collect();
    let main = format!(
        r#"<p>{state} · the event {event} · to {url} · due {due}</p>
{actions}
<h2>Tries</h2>{tries}
<h2>What is sent</h2>{payload}"#,
        state = badge(delivery.text("state")),
        event = to(delivery.text("event")),
        url = esc(delivery.some("url").unwrap_or("a deleted endpoint")),
        due = time(delivery.int("due") / 1000),
        tries = table("Tries", &["When", "Status", "Took", "Answer"], &tries, "It was not tried yet."),
        payload = body(&shared, delivery.text("payload")),
    );
    screen(HERE, &format!("Delivery of {}", delivery.text("type")), &asked, &main)
}

/// What can be done to all that is pending.
pub(super) fn pending_actions(back: &str) -> String {
    let act = |path: &str, label: &str, fields: &[(&str, &str)]| {
        button(&format!("deliveries/{path}"), label, fields, back, "second")
    };
    [
        act("shuffle", "Shuffle", &[]),
        act("duplicate", "Double", &[]),
        act("delay", "Put off an hour", &[("seconds", "3600")]),
        act("drop", "Drop all", &[]),
    ]
    .concat()
}

/// The choice of a state, for filters.
fn state_filter(chosen: &str) -> String {
    let options =
        [("", "any"), ("pending", "pending"), ("delivered", "delivered"), ("failed", "failed"), ("dropped", "dropped")];
    select("state", "State", &options, chosen)
}

/// The last answer of a delivery.
fn last_answer(delivery: &Value) -> String {
    let tries = delivery.list("tries");
    match tries.last() {
        None => String::new(),
        Some(last) => last.some_int("status").map_or_else(|| badge("failed"), status),
    }
}
