//! `/_sandbox/trouble`: bad weather on purpose, and how the account's billing is set.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Asked, ask, button, form, number, screen, select, text};
use crate::fields::Fields;
use crate::hosted::App;

const HERE: &str = "/_sandbox/trouble";

/// `GET /_sandbox/trouble`
pub(crate) async fn show(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref());
    let all = (|| {
        Ok::<_, Box<Response>>([
            ask(&shared, "faults", "")?,
            ask(&shared, "conditions", "")?,
            ask(&shared, "settings", "")?,
        ])
    })();
    let [faults, conditions, settings] = match all {
        Ok(all) => all,
        Err(refusal) => return *refusal,
    };
    let main = format!(
        r#"<div class="panels">
<section class="card" aria-labelledby="api"><h2 id="api">The API</h2><p class="muted">How the next calls of the application are treated.</p>{}{}</section>
<section class="card" aria-labelledby="webhooks"><h2 id="webhooks">Webhooks</h2><p class="muted">How events travel from now on. What is pending already is not touched.</p>{}{}</section>
<section class="card" aria-labelledby="billing"><h2 id="billing">Billing</h2><p class="muted">What an account decides in Stripe's Dashboard.</p>{}</section>
</div>
<p>All of this can be done by programs too: <a href="/_sandbox/api">the list of controls</a>.</p>"#,
        faults_form(&faults),
        button("faults/clear", "End all of it", &[], HERE, "second"),
        conditions_form(&conditions),
        button("conditions/clear", "End all of it", &[], HERE, "second"),
        settings_form(&settings),
    );
    screen(HERE, "Trouble", &asked, &main)
}

fn faults_form(faults: &Value) -> String {
    let statuses = [("500", "500, an outage"), ("503", "503, unavailable"), ("429", "429, too many requests")];
    let fields = [
        number("fail_next", "fail_next", "Fail the next calls", faults.int("fail_next")),
        select("status", "… with status", &statuses, &faults.int("status").to_string()),
        number("lose_next", "lose_next", "Lose the next answers", faults.int("lose_next")),
        number("garble_next", "garble_next", "Garble the next answers", faults.int("garble_next")),
        text("path", "… of those whose path begins with", faults.text("path")),
        number("delay_ms", "delay_ms", "Slow every call by (ms)", faults.int("delay_ms")),
        text("mangle", "Leave no more than its id of", faults.text("mangle")),
    ];
    form("faults", &fields.concat(), "Apply", HERE)
}

fn conditions_form(conditions: &Value) -> String {
    let field = |name: &str, label: &str| number(name, name, label, conditions.int(name));
    let order = [("false", "in order"), ("true", "out of order")];
    let fields = [
        field("drop_next", "Drop the next"),
        field("drop_percent", "Drop, in percent"),
        field("duplicate_next", "Double the next"),
        field("duplicate_percent", "Double, in percent"),
        field("delay_seconds", "Late by (seconds)"),
        field("abreast", "At a time"),
        select("shuffle", "They come", &order, if conditions.flag("shuffle") { "true" } else { "false" }),
    ];
    form("conditions", &fields.concat(), "Apply", HERE)
}

fn settings_form(settings: &Value) -> String {
    let then = [("cancel", "cancel the subscription"), ("unpaid", "mark it unpaid"), ("past_due", "leave it past due")];
    let fields = [
        select("after_last_retry", "After the last retry", &then, settings.text("after_last_retry")),
        number(
            "draft_seconds",
            "draft_seconds",
            "Renewal invoices stay drafts (seconds)",
            settings.int("draft_seconds"),
        ),
    ];
    form("settings", &fields.concat(), "Keep", HERE)
}
