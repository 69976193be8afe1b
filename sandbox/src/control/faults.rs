//! `/_sandbox/faults`: injected faults, delivery conditions and billing settings.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Query, button, fetch, form, number, screen, select, text};
use crate::fields::Fields;
use crate::hosted::App;

const HERE: &str = "/_sandbox/faults";

/// `GET /_sandbox/faults`
pub(crate) async fn show(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let all = (|| {
        Ok::<_, Box<Response>>([
            fetch(&shared, "faults", "")?,
            fetch(&shared, "conditions", "")?,
            fetch(&shared, "settings", "")?,
        ])
    })();
    let [faults, conditions, settings] = match all {
        Ok(all) => all,
        Err(page) => return *page,
    };
    let main = format!(
        r#"<div class="panels">
<section class="card" aria-labelledby="api"><h2 id="api">API</h2><p class="muted">Applies to the application's next calls.</p>{}{}</section>
<section class="card" aria-labelledby="webhooks"><h2 id="webhooks">Webhooks</h2><p class="muted">Applies to future events. Pending deliveries do not change.</p>{}{}</section>
<section class="card" aria-labelledby="billing"><h2 id="billing">Billing</h2><p class="muted">Settings from Stripe's Dashboard.</p>{}</section>
</div>
<p>All controls are also available <a href="/_sandbox/api">over HTTP</a>.</p>"#,
        faults_form(&faults),
        button("faults/clear", "Reset", &[], HERE, "second"),
        conditions_form(&conditions),
        button("conditions/clear", "Reset", &[], HERE, "second"),
        settings_form(&settings),
    );
    screen(HERE, "Faults", &query, &main)
}

fn faults_form(faults: &Value) -> String {
    let statuses = [("500", "500 (outage)"), ("503", "503 (unavailable)"), ("429", "429 (too many requests)")];
    let keep = [("false", "no"), ("true", "yes, like Stripe")];
    let fields = [
        number("fail_next", "fail_next", "Fail the next calls", faults.int("fail_next")),
        select("status", "… with status", &statuses, &faults.int("status").to_string()),
        number("drop_next", "drop_next", "Drop the next responses", faults.int("drop_next")),
        number("corrupt_next", "corrupt_next", "Corrupt the next responses", faults.int("corrupt_next")),
        text("path", "Only calls whose path begins with", faults.text("path")),
        number("delay_ms", "delay_ms", "Delay every call by (ms)", faults.int("delay_ms")),
        select("keep", "Repeat failures under their idempotency key", &keep, &faults["keep"].to_string()),
        text("strip", "Strip this object to its ID", faults.text("strip")),
    ];
    form("faults", &fields.concat(), "Apply", HERE)
}

fn conditions_form(conditions: &Value) -> String {
    let field = |name: &str, label: &str| number(name, name, label, conditions.int(name));
    let order = [("false", "in order"), ("true", "shuffled")];
    let fields = [
        field("drop_next", "Drop the next"),
        field("drop_percent", "Drop (%)"),
        field("duplicate_next", "Duplicate the next"),
        field("duplicate_percent", "Duplicate (%)"),
        field("delay_seconds", "Delay by (seconds)"),
        field("concurrency", "Concurrent deliveries"),
        select("shuffle", "Order", &order, if conditions.flag("shuffle") { "true" } else { "false" }),
    ];
    form("conditions", &fields.concat(), "Apply", HERE)
}

fn settings_form(settings: &Value) -> String {
    let then = [
        ("cancel", "cancel the subscription"),
        ("unpaid", "mark it unpaid"),
        ("past_due", "leave it past due"),
        ("pause", "pause it"),
    ];
    let fields = [
        select("after_last_retry", "After the last retry", &then, settings.text("after_last_retry")),
        number(
            "draft_seconds",
            "draft_seconds",
            "Renewal invoices stay drafts for (seconds)",
            settings.int("draft_seconds"),
        ),
    ];
    form("settings", &fields.concat(), "Save", HERE)
}
