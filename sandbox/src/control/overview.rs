//! `/_sandbox`: the time, what falls due, what is under way, and what happened last.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Asked, ask, button, form, screen, table, time, to};
use super::{deliveries, events, requests};
use crate::clock;
use crate::fields::Fields;
use crate::hosted::{App, esc};

const HERE: &str = "/_sandbox";

/// `GET /_sandbox`
pub(crate) async fn show(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let all = (|| {
        Ok::<_, Box<Response>>([
            ask(&shared, "clock", "limit=8")?,
            ask(&shared, "state", "")?,
            ask(&shared, "faults", "")?,
            ask(&shared, "conditions", "")?,
            ask(&shared, "events", "limit=8")?,
            ask(&shared, "requests", "limit=8")?,
            ask(&shared, "objects", "kind=customer&limit=5")?,
        ])
    })();
    let [clock, state, faults, conditions, latest_events, latest_requests, customers] = match all {
        Ok(all) => all,
        Err(refusal) => return *refusal,
    };
    let main = format!(
        r#"{warnings}
<div class="panels">
<section class="card" aria-labelledby="clock"><h2 id="clock">Clock</h2>{clock}</section>
<section class="card" aria-labelledby="deliveries"><h2 id="deliveries">Webhooks</h2>{deliveries}</section>
</div>
<section><h2>Falls due next</h2>{due}</section>
<section><h2>Latest events</h2>{events}</section>
<section><h2>Latest API requests</h2>{requests}</section>
<section><h2>Newest customers</h2>{customers}</section>"#,
        warnings = warnings(&faults, &conditions),
        clock = clock_panel(&clock),
        deliveries = deliveries_panel(&state["deliveries"]),
        due = agenda(&clock),
        events = events::rows(&latest_events),
        requests = requests::rows(&latest_requests),
        customers = customers_table(&customers),
    );
    screen(HERE, "Overview", &asked, &main)
}

/// What is out of order on purpose, and how to end it.
fn warnings(faults: &Value, conditions: &Value) -> String {
    let mut said = Vec::new();
    let mut say = |count: i64, what: String| {
        if count > 0 {
            said.push(what);
        }
    };
    let plural =
        |count: i64, one: &str, many: &str| if count == 1 { one.to_owned() } else { format!("{count} {many}") };
    let (failing, losing, garbling) = (faults.int("fail_next"), faults.int("lose_next"), faults.int("garble_next"));
    say(
        failing,
        format!("The next {} with {}.", plural(failing, "API call fails", "API calls fail"), faults.int("status")),
    );
    say(losing, format!("The answer of the next {} lost.", plural(losing, "API call is", "API calls is")));
    say(garbling, format!("The answer of the next {} garbled.", plural(garbling, "API call is", "API calls is")));
    let (path, mangled) = (faults.text("path"), faults.text("mangle"));
    let any = i64::from(failing + losing + garbling > 0 && !path.is_empty());
    say(any, format!("Calls are those of {}.", esc(path)));
    say(i64::from(!mangled.is_empty()), format!("Answers leave out what {} is.", esc(mangled)));
    say(faults.int("delay_ms"), format!("Each API call takes {} ms longer.", faults.int("delay_ms")));
    let conditions_hold = ["delay_seconds", "drop_next", "drop_percent", "duplicate_next", "duplicate_percent"]
        .iter()
        .any(|name| conditions.int(name) > 0)
        || conditions.flag("shuffle");
    say(i64::from(conditions_hold), "New events get lost, come twice, late or out of order.".to_owned());
    if said.is_empty() {
        return String::new();
    }
    format!(r#"<p class="warning">{} <a href="/_sandbox/trouble">See and end it</a></p>"#, said.join(" "))
}

fn clock_panel(clock: &Value) -> String {
    let (now, ahead) = (clock.int("now"), clock.int("ahead"));
    let lead = match ahead {
        0 => "UTC, in step with real time".to_owned(),
        seconds => format!("UTC, {} ahead of real time", span(seconds)),
    };
    let jump = |label: &str, seconds: &str| button("clock/advance", label, &[("seconds", seconds)], HERE, "second");
    let step = form(
        "clock/advance",
        r#"<div><label for="days">Days</label><input id="days" name="days" type="number" min="1" max="3660" value="7"></div>"#,
        "Move on",
        HERE,
    );
    format!(
        r#"<p class="now">{}</p><p class="muted">{lead}</p>{step}<div class="actions">{}{}{}{}</div>"#,
        time(now),
        jump("+ 1 hour", "3600"),
        jump("+ 1 day", "86400"),
        jump("+ 31 days", "2678400"),
        button("clock/next", "To what is next", &[], HERE, "second"),
    )
}

/// "3 days 2 h".
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
    let said = match (held, pending) {
        (true, 0) => "Held back. Nothing is waiting.".to_owned(),
        (true, count) => format!("Held back. {count} waiting."),
        (false, 0) => "Going out. Nothing is waiting.".to_owned(),
        (false, count) => format!("Going out. {count} still to deliver."),
    };
    let switch = match held {
        true => button("deliveries/release", "Let them go", &[], HERE, ""),
        false => button("deliveries/hold", "Hold back", &[], HERE, ""),
    };
    let with_pending = match pending {
        0 => String::new(),
        _ => deliveries::pending_actions(HERE),
    };
    format!(
        r#"<p>{said}</p><div class="actions">{switch}{with_pending}</div><p><a href="/_sandbox/deliveries">All deliveries</a></p>"#
    )
}

fn agenda(clock: &Value) -> String {
    let rows: Vec<Vec<String>> = clock
        .list("due")
        .iter()
        .map(|due| {
            let fields = [("object", due.text("object")), ("what", due.text("what"))];
            vec![
                time(due.int("at")),
                esc(due.text("says")),
                to(due.text("object")),
                button("clock/next", "Go there", &fields, HERE, "second"),
            ]
        })
        .collect();
    let empty = "Trials, renewals, retries and the like appear here once there is a subscription.";
    table("What falls due next", &["When", "What", "Of", ""], &rows, empty)
}

fn customers_table(customers: &Value) -> String {
    let rows: Vec<Vec<String>> = customers
        .list("data")
        .iter()
        .map(|customer| {
            vec![
                to(customer.text("id")),
                esc(customer.text("email")),
                esc(customer.text("name")),
                time(customer.int("created")),
            ]
        })
        .collect();
    table("Newest customers", &["Customer", "E-mail", "Name", "Since"], &rows, "Customers appear here.")
}
