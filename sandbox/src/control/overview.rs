//! `/_sandbox`: the clock, pending deliveries, upcoming changes, and recent activity.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Query, button, fetch, form, link_to, screen, table, time};
use super::{deliveries, events, requests};
use crate::clock;
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox";

/// `GET /_sandbox`
pub(crate) async fn show(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let all = (|| {
        Ok::<_, Box<Response>>([
            fetch(&shared, "clock", "limit=8")?,
            fetch(&shared, "state", "")?,
            fetch(&shared, "faults", "")?,
            fetch(&shared, "conditions", "")?,
            fetch(&shared, "events", "limit=8")?,
            fetch(&shared, "requests", "limit=8")?,
            fetch(&shared, "objects", "kind=customer&limit=5")?,
        ])
    })();
    let [clock, state, faults, conditions, latest_events, latest_requests, customers] = match all {
        Ok(all) => all,
        Err(page) => return *page,
    };
    let main = format!(
        r#"{warnings}
<div class="panels">
<section class="card" aria-labelledby="clock"><h2 id="clock">Clock</h2>{clock}</section>
<section class="card" aria-labelledby="deliveries"><h2 id="deliveries">Webhooks</h2>{deliveries}</section>
</div>
<section><h2>Upcoming</h2>{upcoming}</section>
<section><h2>Latest events</h2>{events}</section>
<section><h2>Latest API requests</h2>{requests}</section>
<section><h2>Newest customers</h2>{customers}</section>"#,
        warnings = warnings(&faults, &conditions),
        clock = clock_panel(&clock),
        deliveries = deliveries_panel(&state["deliveries"]),
        upcoming = upcoming(&clock),
        events = events::rows(&latest_events),
        requests = requests::rows(&latest_requests),
        customers = customers_table(&customers),
    );
    screen(HERE, "Overview", &query, &main)
}

/// Describes the active faults and delivery conditions.
fn warnings(faults: &Value, conditions: &Value) -> String {
    let mut sentences = Vec::new();
    let mut add = |count: i64, sentence: String| {
        if count > 0 {
            sentences.push(sentence);
        }
    };
    let plural =
        |count: i64, one: &str, many: &str| if count == 1 { one.to_owned() } else { format!("{count} {many}") };
    let (failing, dropping, corrupting) =
        (faults.int("fail_next"), faults.int("drop_next"), faults.int("corrupt_next"));
    add(
        failing,
        format!("The next {} will fail with {}.", plural(failing, "API call", "API calls"), faults.int("status")),
    );
    add(dropping, format!("The next {} will be dropped.", plural(dropping, "response", "responses")));
    add(corrupting, format!("The next {} will be corrupted.", plural(corrupting, "response", "responses")));
    let (path, stripped) = (faults.text("path"), faults.text("strip"));
    let any = i64::from(failing + dropping + corrupting > 0 && !path.is_empty());
    add(any, format!("This applies only to {}.", esc(path)));
    add(i64::from(!stripped.is_empty()), format!("Responses contain only the ID of {}.", esc(stripped)));
    add(faults.int("delay_ms"), format!("Every API call is delayed by {} ms.", faults.int("delay_ms")));
    let conditions_hold = ["delay_seconds", "drop_next", "drop_percent", "duplicate_next", "duplicate_percent"]
        .iter()
        .any(|name| conditions.int(name) > 0)
        || conditions.flag("shuffle");
    add(
        i64::from(conditions_hold),
        "Deliveries of new events are dropped, duplicated, delayed or shuffled.".to_owned(),
    );
    if sentences.is_empty() {
        return String::new();
    }
    format!(r#"<p class="warning">{} <a href="/_sandbox/faults">View faults</a></p>"#, sentences.join(" "))
}

fn clock_panel(clock: &Value) -> String {
    let (now, ahead) = (clock.int("now"), clock.int("ahead"));
    let lead = match ahead {
        0 => "UTC, in sync with real time".to_owned(),
        seconds => format!("UTC, {} ahead of real time", span(seconds)),
    };
    let jump = |label: &str, seconds: &str| button("clock/advance", label, &[("seconds", seconds)], HERE, "second");
    let step = form(
        "clock/advance",
        r#"<div><label for="days">Days</label><input id="days" name="days" type="number" min="1" max="3660" value="7"></div>"#,
        "Advance",
        HERE,
    );
    format!(
        r#"<p class="now">{}</p><p class="muted">{lead}</p>{step}<div class="actions">{}{}{}{}</div>"#,
        time(now),
        jump("+ 1 hour", "3600"),
        jump("+ 1 day", "86400"),
        jump("+ 31 days", "2678400"),
        button("clock/next", "Next due", &[], HERE, "second"),
    )
}

/// Formats a duration by its two largest units: "3 d 2 h".
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / clock::DAY, seconds % clock::DAY / clock::HOUR, seconds % clock::HOUR / 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .take(2)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}

fn deliveries_panel(deliveries: &Value) -> String {
    let pending = deliveries.int("pending");
    let held = deliveries.flag("held");
    let status = match (held, pending) {
        (true, 0) => "On hold. None pending.".to_owned(),
        (true, count) => format!("On hold. {count} pending."),
        (false, 0) => "Sending. None pending.".to_owned(),
        (false, count) => format!("Sending. {count} pending."),
    };
    let switch = match held {
        true => button("deliveries/release", "Release", &[], HERE, ""),
        false => button("deliveries/hold", "Hold", &[], HERE, ""),
    };
    let with_pending = match pending {
        0 => String::new(),
        _ => deliveries::pending_actions(HERE),
    };
    format!(
        r#"<p>{status}</p><div class="actions">{switch}{with_pending}</div><p><a href="/_sandbox/deliveries">All deliveries</a></p>"#
    )
}

fn upcoming(clock: &Value) -> String {
    let rows: Vec<Vec<String>> = clock
        .list("due")
        .iter()
        .map(|due| {
            let fields = [("object", due.text("object")), ("change", due.text("change"))];
            vec![
                time(due.int("at")),
                esc(due.text("description")),
                link_to(due.text("object")),
                button("clock/next", "Jump here", &fields, HERE, "second"),
            ]
        })
        .collect();
    let empty = "Trial ends, renewals, retries and other changes appear here once there is a subscription.";
    table("Upcoming", &["When", "Change", "Object", ""], &rows, empty)
}

fn customers_table(customers: &Value) -> String {
    let rows: Vec<Vec<String>> = customers
        .list("data")
        .iter()
        .map(|customer| {
            vec![
                link_to(customer.text("id")),
                esc(customer.text("email")),
                esc(customer.text("name")),
                time(customer.int("created")),
            ]
        })
        .collect();
    table("Newest customers", &["Customer", "E-mail", "Name", "Created"], &rows, "No customers yet.")
}
