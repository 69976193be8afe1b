//! `/p/session/{session}`: the customer portal.
//!
//! Invariant: a session opens one customer's billing for an hour, and every action is about an
//! object of that customer. What the configuration leaves out is neither shown nor done.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::invoice::{self, IfRefused};
use crate::flows::payment::{self, Presence};
use crate::flows::{change, subscription};
use crate::hosted::checkout::{Fault, Typed, card_fields, interval_of, test_cards};
use crate::hosted::{App, esc, link, notice, page, see_other};
use crate::money;
use crate::state::Shared;
use crate::store::{Origin, Tx};

/// How long a link works, in seconds.
const LIFE: i64 = 3_600;

/// What stops an action.
type Stop = Box<Response>;

/// `GET /p/session/{session}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>) -> Response {
    act(&shared, &id, |tx, session| overview(tx, session, &Typed::default(), None, StatusCode::OK))
}

/// `POST /p/session/{session}`: another card.
pub(crate) async fn change_card(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let typed = Typed::read(&body);
    act(&shared, &id, |tx, session| {
        if !offers(tx, session, "payment_method_update") {
            return Ok(not_offered());
        }
        let fault = match typed.card(tx) {
            Ok(method) => match save(tx, session.text("customer"), &method, &typed) {
                Ok(()) => return Ok(see_other(&address(session))),
                Err(error) if error.is_card_error() => Fault { field: "number", message: error.message.to_string() },
                Err(error) => return Err(error),
            },
            Err(fault) => fault,
        };
        overview(tx, session, &typed, Some(&fault), StatusCode::UNPROCESSABLE_ENTITY)
    })
}

/// Makes a card the one that everything is charged to from now on.
fn save(tx: &mut Tx<'_>, customer: &str, method: &Value, typed: &Typed) -> Result<(), ApiError> {
    let id = method.text("id");
    tx.quietly(id, |method| method["billing_details"].set("name", typed.name.as_str()));
    let method = tx.find("payment_method", id)?;
    payment::attach(tx, &method, customer)?;
    tx.change(customer, "customer.updated", |customer| {
        customer["invoice_settings"].set("default_payment_method", id);
    })?;
    for running in running(tx, customer) {
        if running.some("default_payment_method").is_some() {
            tx.change(running.text("id"), "customer.subscription.updated", |running| {
                running.set("default_payment_method", id);
            })?;
        }
    }
    Ok(())
}

/// `POST /p/session/{session}/pay/{invoice}`
pub(crate) async fn pay(State(shared): App, Path((id, due)): Path<(String, String)>) -> Response {
    act(&shared, &id, |tx, session| {
        let open = tx.lookup("invoice", &due).filter(|due| due["customer"] == session["customer"]).cloned();
        let Some(open) = open.filter(|due| due.text("status") == "open") else {
            return Ok(see_other(&address(session)));
        };
        let method = invoice::subscription_of(&open)
            .and_then(|id| tx.get(id))
            .and_then(|found| subscription::default_method(tx, found))
            .or_else(|| tx.get(session.text("customer")).and_then(payment::default_method));
        let refused = match method {
            None => "Add a card first.".to_owned(),
            Some(method) => {
                let method = payment::method(tx, &method, "payment_method")?;
                let intent = open.text("_payment_intent");
                tx.quietly(intent, |intent| intent.set("_return_url", address(session)));
                match invoice::pay(tx, &due, &method, Presence::OnSession, IfRefused::Leave) {
                    Ok(paid) if paid.text("status") == "paid" => {
                        subscription::settled(tx, &paid)?;
                        return Ok(see_other(&address(session)));
                    }
                    Ok(_) => return Ok(see_other(&format!("/authenticate/{intent}"))),
                    Err(error) if error.is_card_error() => error.message.to_string(),
                    Err(error) => return Err(error),
                }
            }
        };
        let fault = Fault { field: "number", message: refused };
        overview(tx, session, &Typed::default(), Some(&fault), StatusCode::PAYMENT_REQUIRED)
    })
}

/// `GET /p/session/{session}/cancel/{subscription}`: asks, and says what follows.
pub(crate) async fn ask(State(shared): App, Path((id, plan)): Path<(String, String)>) -> Response {
    act(&shared, &id, |tx, session| {
        let Some(plan) = owned(tx, session, &plan) else {
            return Ok(not_offered());
        };
        let main = format!(
            r#"<div class="card narrow"><h1>Cancel {name}?</h1>
<p>The plan stays as it is until {end}. Then it ends, and you are not charged again. Until then you can change your mind here.</p>
<div class="actions"><form method="post"><button>Cancel plan</button></form><a class="button" href="{back}">Keep plan</a></div></div>"#,
            name = esc(&name_of(tx, &plan)),
            end = clock::long_date(subscription::current_period(&plan).1),
            back = address(session),
        );
        Ok(page(StatusCode::OK, "Cancel plan", &main))
    })
}

/// `POST /p/session/{session}/cancel/{subscription}`
pub(crate) async fn cancel(State(shared): App, Path((id, plan)): Path<(String, String)>) -> Response {
    set_end(&shared, &id, &plan, true)
}

/// `POST /p/session/{session}/resume/{subscription}`
pub(crate) async fn resume(State(shared): App, Path((id, plan)): Path<(String, String)>) -> Response {
    set_end(&shared, &id, &plan, false)
}

fn set_end(shared: &Shared, id: &str, plan: &str, ends: bool) -> Response {
    act(shared, id, |tx, session| {
        if owned(tx, session, plan).is_none() {
            return Ok(not_offered());
        }
        change::update(tx, plan, &json!({ "cancel_at_period_end": ends }))?;
        Ok(see_other(&address(session)))
    })
}

/// Runs an action for a session that is still good.
fn act(shared: &Shared, id: &str, work: impl FnOnce(&mut Tx<'_>, &Value) -> Result<Response, ApiError>) -> Response {
    let outcome = shared.transaction(Origin::default(), |tx| match session(tx, id) {
        Ok(session) => work(tx, &session),
        Err(stop) => Ok(*stop),
    });
    outcome
        .unwrap_or_else(|error| notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", &error.message, None))
}

fn session(tx: &Tx<'_>, id: &str) -> Result<Value, Stop> {
    let Some(session) = tx.lookup("billing_portal.session", id) else {
        let text = "The link is not one of the customer portal. Perhaps it was cut off.";
        return Err(Box::new(notice(StatusCode::NOT_FOUND, "This page does not exist", text, None)));
    };
    if tx.now() >= session.int("created") + LIFE {
        let text = "Links to the customer portal last an hour. Go back to open it again.";
        let back = session.some("return_url").map(|url| (url, "Back"));
        return Err(Box::new(notice(StatusCode::GONE, "This link has expired", text, back)));
    }
    Ok(session.clone())
}

fn not_offered() -> Response {
    notice(StatusCode::NOT_FOUND, "This page does not exist", "The portal does not offer that.", None)
}

fn address(session: &Value) -> String {
    format!("/p/session/{}", session.text("id"))
}

fn offers(tx: &Tx<'_>, session: &Value, feature: &str) -> bool {
    tx.get(session.text("configuration")).is_some_and(|found| found["features"][feature].flag("enabled"))
}

fn running(tx: &Tx<'_>, customer: &str) -> Vec<Value> {
    let all = tx.referring("subscription", customer);
    all.filter(|found| !matches!(found.text("status"), "canceled" | "incomplete_expired")).cloned().collect()
}

/// The customer's running subscription of that id, where cancelling is offered.
fn owned(tx: &Tx<'_>, session: &Value, id: &str) -> Option<Value> {
    let mut all = running(tx, session.text("customer")).into_iter();
    all.find(|found| found.text("id") == id).filter(|_| offers(tx, session, "subscription_cancel"))
}

fn name_of(tx: &Tx<'_>, plan: &Value) -> String {
    let product = plan.data("items").first().and_then(|item| tx.get(item["price"].text("product")));
    product.map_or("Plan", |product| product.text("name")).to_owned()
}

fn plan_card(tx: &Tx<'_>, session: &Value, plan: &Value) -> String {
    let end = clock::long_date(subscription::current_period(plan).1);
    let cancels = plan.flag("cancel_at_period_end");
    let status = match plan.text("status") {
        _ if cancels => format!("Ends on {end}"),
        "trialing" => format!("Trial until {end}"),
        "active" => format!("Active, renews on {end}"),
        "past_due" => "Past due: the last payment failed".to_owned(),
        other => other.replace('_', " "),
    };
    let price = plan.data("items").first().map_or_else(String::new, |item| {
        let price = &item["price"];
        let amount = money::format(price.int("unit_amount") * item.int("quantity").max(1), price.text("currency"));
        format!("{amount} {}", interval_of(price).unwrap_or_default())
    });
    let (at, id) = (address(session), plan.text("id"));
    let action = match (offers(tx, session, "subscription_cancel"), cancels) {
        (false, _) => String::new(),
        (true, true) => {
            format!(r#"<form method="post" action="{at}/resume/{id}"><button>Don't cancel</button></form>"#)
        }
        (true, false) => format!(r#"<p><a href="{at}/cancel/{id}">Cancel plan</a></p>"#),
    };
    format!(r#"<h2>{}</h2><p class="price">{price}</p><p class="muted">{status}</p>{action}"#, esc(&name_of(tx, plan)))
}

fn overview(
    tx: &mut Tx<'_>,
    session: &Value,
    typed: &Typed,
    fault: Option<&Fault>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let customer = tx.find("customer", session.text("customer"))?;
    let plans = running(tx, customer.text("id"));
    let shown: String = plans.iter().map(|plan| plan_card(tx, session, plan)).collect();
    let shown = if shown.is_empty() { "<p>No plan at the moment.</p>".to_owned() } else { shown };
    let used = plans.first().and_then(|plan| subscription::default_method(tx, plan));
    let used = used.or_else(|| payment::default_method(&customer));
    let on_file = used.and_then(|id| tx.get(&id).map(|method| method["card"].clone())).map_or_else(
        || "No card on file.".to_owned(),
        |card| {
            let (brand, last4) = (esc(card.text("brand")), esc(card.text("last4")));
            format!("{brand} ending in {last4}, expires {:02} / {}", card.int("exp_month"), card.int("exp_year"))
        },
    );
    let invoices: Vec<Value> = tx
        .referring("invoice", customer.text("id"))
        .filter(|found| found["customer"] == customer["id"])
        .cloned()
        .collect();
    let at = address(session);
    let due: String = invoices
        .iter()
        .filter(|invoice| invoice.text("status") == "open")
        .map(|invoice| {
            let amount = money::format(invoice.int("amount_remaining"), invoice.text("currency"));
            format!(
                r#"<form method="post" action="{at}/pay/{}"><button>Pay {amount} now</button></form>"#,
                invoice.text("id")
            )
        })
        .collect();
    let rows: String = invoices
        .iter()
        .filter(|invoice| invoice.text("status") != "draft")
        .map(|invoice| {
            format!(
                r#"<li><a href="{}">{} · {}</a><span class="amount">{} · <a href="{}">PDF</a></span></li>"#,
                link(invoice.text("hosted_invoice_url")),
                clock::long_date(invoice.int("created")),
                esc(invoice.text("status")),
                money::format(invoice.int("total"), invoice.text("currency")),
                link(invoice.text("invoice_pdf")),
            )
        })
        .collect();
    let history = match offers(tx, session, "invoice_history") {
        true => format!(r#"<h2>Invoices</h2><ul class="lines">{rows}</ul>"#),
        false => String::new(),
    };
    let card = match offers(tx, session, "payment_method_update") {
        true => {
            let (fields, cards) = (card_fields(typed, fault), test_cards());
            format!(r#"<form method="post" action="{at}" novalidate>{fields}<button>Save card</button></form>{cards}"#)
        }
        false => String::new(),
    };
    let back = session.some("return_url").map_or_else(String::new, |url| {
        let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or(url);
        format!(r#"<a class="back" href="{}">Return to {}</a>"#, link(url), esc(host))
    });
    let main = format!(
        r#"{back}
<div class="columns">
<section><h1>Billing</h1>{shown}{due}{history}</section>
<section class="card" aria-label="Payment method"><h2>Payment method</h2><p>{on_file}</p>{card}</section>
</div>"#
    );
    Ok(page(status, "Billing", &main))
}
