//! The sandbox's own pages: what it is, and what has happened in it.

pub(crate) mod api;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::clock;
use crate::controls;
use crate::fields::Fields;
use crate::hosted::{App, esc, link, page};
use crate::state::REQUEST;

/// How many rows each table shows.
const ROWS: usize = 25;

/// `GET /`
pub(crate) async fn home(State(shared): App) -> Response {
    let main = format!(
        r#"<div class="card narrow">
<h1>Offline Stripe</h1>
<p>Point an application here with <code>STRIPE_API_BASE={base}</code>. API version {version}.</p>
<p><a class="button" href="/_sandbox">What has happened</a></p>
</div>"#,
        base = esc(&shared.base),
        version = crate::shape::DEFAULT_VERSION,
    );
    page(StatusCode::OK, "Offline Stripe", &main)
}

/// `GET /_sandbox/state`
pub(crate) async fn state(State(shared): App) -> Json<Value> {
    shared.catch_up();
    Json(controls::summary(&shared.lock()))
}

/// `GET /_sandbox`
pub(crate) async fn overview(State(shared): App) -> Response {
    shared.catch_up();
    let inner = shared.lock();
    let now = inner.store.now_millis() / 1000;
    let open: Vec<Vec<String>> = inner
        .store
        .newest("checkout.session")
        .filter(|session| session.text("status") == "open")
        .take(ROWS)
        .map(|session| {
            let id = session.text("id");
            vec![
                format!(r#"<a href="{}">{}…</a>"#, link(&format!("/c/pay/{id}")), esc(&id[..id.len().min(20)])),
                esc(session.text("mode")),
                clock::stamp(session.int("expires_at")),
            ]
        })
        .collect();
    let events: Vec<Vec<String>> = inner
        .store
        .newest("event")
        .take(ROWS)
        .map(|event| {
            let about: String = event["data"]["object"].text("id").chars().take(32).collect();
            vec![clock::stamp(event.int("created")), esc(event.text("type")), esc(&about)]
        })
        .collect();
    let deliveries: Vec<Vec<String>> = inner
        .store
        .newest("_delivery")
        .take(ROWS)
        .map(|delivery| {
            let url = inner.store.get(delivery.text("endpoint")).map_or("deleted", |endpoint| endpoint.text("url"));
            let tries = delivery.list("tries");
            let last = tries.last().cloned().unwrap_or_default();
            let last = last.some_int("status").map_or(last.text("error").to_owned(), |status| status.to_string());
            vec![esc(delivery.text("type")), esc(url), esc(delivery.text("state")), tries.len().to_string(), esc(&last)]
        })
        .collect();
    let requests: Vec<Vec<String>> = inner
        .store
        .newest(REQUEST)
        .take(ROWS)
        .map(|line| {
            vec![
                esc(line.text("method")),
                esc(line.text("path")),
                line.int("status").to_string(),
                esc(line.text("idempotency_key")),
            ]
        })
        .collect();
    drop(inner);
    let main = format!(
        "<h1>Sandbox</h1><p class=\"muted\">It is {}.</p>{}{}{}{}",
        clock::stamp(now),
        table(
            "Open checkouts",
            &["Session", "Mode", "Expires"],
            &open,
            "Sessions appear here until they are paid or expire."
        ),
        table("Events", &["When", "Type", "Object"], &events, "Each change appears here, newest first."),
        table(
            "Deliveries",
            &["Event", "Endpoint", "State", "Tries", "Last answer"],
            &deliveries,
            "Webhooks appear here once an endpoint is registered."
        ),
        table("Requests", &["Method", "Path", "Status", "Idempotency key"], &requests, "API calls appear here."),
    );
    page(StatusCode::OK, "Sandbox", &main)
}

/// A table of cells that are HTML already.
fn table(title: &str, heads: &[&str], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() {
        return format!("<h2>{title}</h2><p class=\"muted\">{empty}</p>");
    }
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let rows: String = rows
        .iter()
        .map(|cells| {
            let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!(
        "<h2>{title}</h2><div class=\"scroll\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}
