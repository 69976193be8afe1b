//! `/_sandbox/objects`: Stripe's objects, their relations, and actions on them.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::view::{Query, badge, button, fetch, form, link_to, pager, pretty, screen, status, table, time};
use crate::fields::Fields;
use crate::hosted::{App, esc, link};
use crate::money;

const HERE: &str = "/_sandbox/objects";

/// The kinds in the navigation.
const KINDS: [(&str, &str); 15] = [
    ("customer", "Customers"),
    ("subscription", "Subscriptions"),
    ("subscription_schedule", "Schedules"),
    ("invoice", "Invoices"),
    ("payment_intent", "Payments"),
    ("charge", "Charges"),
    ("refund", "Refunds"),
    ("dispute", "Disputes"),
    ("checkout.session", "Checkouts"),
    ("payment_method", "Payment methods"),
    ("product", "Products"),
    ("price", "Prices"),
    ("billing.meter", "Meters"),
    ("billing_portal.configuration", "Portals"),
    ("webhook_endpoint", "Endpoints"),
];

/// `GET /_sandbox/objects`
pub(crate) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let kind = Some(query.get("kind")).filter(|kind| !kind.is_empty()).unwrap_or("customer");
    let list = match fetch(&shared, "objects", &query.with(&[("kind", kind), ("limit", "50")])) {
        Ok(list) => list,
        Err(page) => return *page,
    };
    let kinds: String = {
        let inner = shared.lock();
        KINDS
            .into_iter()
            .map(|(known, label)| {
                let current = if known == kind { r#" aria-current="page""# } else { "" };
                let count = inner.store.count(known);
                format!(
                    r#"<li><a href="{HERE}?kind={known}"{current}>{label} <span class="count">{count}</span></a></li>"#
                )
            })
            .collect()
    };
    let rows: Vec<Vec<String>> = list.list("data").iter().map(row).collect();
    let main = format!(
        r#"<nav class="kinds" aria-label="Kinds of objects"><ul>{kinds}</ul></nav>{}{}"#,
        table("Objects", &["Object", "Status", "Details", "Created"], &rows, "No objects yet."),
        pager(HERE, &query, &list),
    );
    screen(HERE, "Objects", &query, &main)
}

fn row(object: &Value) -> Vec<String> {
    vec![link_to(object.text("id")), badge(object.text("status")), about(object), time(object.int("created"))]
}

/// Summarizes an object: amount, name, customer.
fn about(object: &Value) -> String {
    let amount = ["amount_due", "amount_total", "amount", "unit_amount"].iter().find_map(|key| object.some_int(key));
    let amount = amount.zip(object.some("currency")).map(|(amount, currency)| money::format(amount, currency));
    let fields = ["email", "name", "display_name", "nickname", "number", "url", "description", "reason"];
    let label = fields.iter().find_map(|key| object.some(key)).map(esc);
    let owner = object.some("customer").map(link_to);
    [amount, label, owner].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// `GET /_sandbox/objects/{object}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let found = match fetch(&shared, &format!("objects/{id}"), "") {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let object = &found["object"];
    let here = format!("{HERE}/{id}");
    let due: String = found
        .list("due")
        .iter()
        .map(|due| {
            let go =
                button("clock/next", "Jump here", &[("object", &id), ("change", due.text("change"))], &here, "second");
            format!(r#"<div class="due"><p>{}: {}</p>{go}</div>"#, time(due.int("at")), esc(due.text("description")))
        })
        .collect();
    let main = format!(
        r#"<p><code>{id}</code> {status}</p>
{due}<div class="actions">{actions}</div>
<h2>References</h2>{references}
<h2>Referenced by</h2>{referenced_by}
<h2>Events</h2>{events}
<h2>Requests</h2>{requests}
<h2>Object</h2>{json}"#,
        id = esc(&id),
        status = badge(object.text("status")),
        actions = actions(object, &here),
        references = related_objects("References", found.list("references")),
        referenced_by = related_objects("Referenced by", found.list("referenced_by")),
        events = events(found.list("events")),
        requests = requests(found.list("requests")),
        json = pretty(&shared, object),
    );
    screen(HERE, &title(object), &query, &main)
}

fn title(object: &Value) -> String {
    let kind = object.text("object").replace(['_', '.'], " ");
    let mut letters = kind.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn related_objects(label: &str, found: &[Value]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|found| {
            vec![esc(&title(found)), link_to(found.text("id")), badge(found.text("status")), time(found.int("created"))]
        })
        .collect();
    table(label, &["Kind", "Object", "Status", "Created"], &rows, "None.")
}

fn events(found: &[Value]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|event| {
            let kind = format!(r#"<a href="/_sandbox/events/{}">{}</a>"#, event.text("id"), esc(event.text("type")));
            vec![time(event.int("created")), kind, link_to(event.text("object"))]
        })
        .collect();
    table("Events", &["When", "Type", "Object"], &rows, "None.")
}

fn requests(found: &[Value]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|request| {
            let call = format!(
                r#"<a href="/_sandbox/requests/{}">{} {}</a>"#,
                request.text("id"),
                esc(request.text("method")),
                esc(request.text("path"))
            );
            vec![time(request.int("created")), call, status(request.int("status"))]
        })
        .collect();
    table("Requests", &["When", "Request", "Status"], &rows, "None.")
}

/// Renders the actions on an object in its current state.
fn actions(object: &Value, back: &str) -> String {
    let id = object.text("id");
    let act = |path: &str, label: &str, fields: &[(&str, &str)]| {
        button(&path.replace(":id", id), label, fields, back, "second")
    };
    match (object.text("object"), object.text("status")) {
        ("customer", _) => act("customers/:id/decline_next", "Decline the next charge", &[("times", "1")]),
        ("subscription", "canceled" | "incomplete_expired") => String::new(),
        ("subscription", _) => {
            let later = match object.flag("cancel_at_period_end") {
                true => act("subscriptions/:id/keep", "Don't cancel", &[]),
                false => {
                    act("subscriptions/:id/cancel", "Cancel at the end of the period", &[("at_period_end", "true")])
                }
            };
            format!("{later}{}", act("subscriptions/:id/cancel", "Cancel now", &[]))
        }
        ("payment_intent", "processing") => {
            format!(
                "{}{}",
                act("payments/:id/settle", "Settle the debit", &[]),
                act("payments/:id/fail", "Fail the debit", &[])
            )
        }
        ("payment_intent", "succeeded") => paid_actions(object, back),
        ("charge", "succeeded") => paid_actions(object, back),
        ("refund", "pending") => format!(
            "{}{}{}",
            act("refunds/:id/settle", "Settle the refund", &[]),
            act("refunds/:id/fail", "Fail the refund", &[]),
            act("refunds/:id/cancel", "Cancel the refund", &[])
        ),
        ("dispute", "won" | "lost" | "warning_closed") => String::new(),
        ("dispute", _) => {
            format!("{}{}", act("disputes/:id/win", "Win", &[]), act("disputes/:id/lose", "Lose", &[]))
        }
        ("invoice", _) if object.some("hosted_invoice_url").is_some() => {
            format!(
                r#"<a class="button small" href="{}">Open the hosted invoice</a>"#,
                link(object.text("hosted_invoice_url"))
            )
        }
        ("checkout.session", "open") => {
            format!(r#"<a class="button small" href="{}">Open the Checkout page</a>"#, link(object.text("url")))
        }
        _ => String::new(),
    }
}

/// Renders the actions on a successful payment.
fn paid_actions(payment: &Value, back: &str) -> String {
    let id = payment.text("id");
    let amount = payment.int("amount") - payment.int("amount_refunded");
    let part = form(
        &format!("payments/{id}/refund"),
        &format!(
            r#"<div><label for="amount">Amount in {} (smallest unit)</label><input id="amount" name="amount" type="number" min="1" max="{amount}" value="{amount}"></div>"#,
            esc(&payment.text("currency").to_uppercase())
        ),
        "Refund",
        back,
    );
    let dispute = button(&format!("payments/{id}/dispute"), "Dispute", &[("reason", "fraudulent")], back, "second");
    let inquire = button(&format!("payments/{id}/dispute"), "Open an inquiry", &[("inquiry", "true")], back, "second");
    format!("{part}{dispute}{inquire}")
}
