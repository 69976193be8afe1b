//! `/p/session/{session}`: the customer portal.
//!
//! Invariant: a session gives access to one customer's billing for an hour, and actions apply only to
//! objects of that customer. Features that the configuration disables are neither shown nor allowed.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::invoice::{self, IfDeclined};
use crate::flows::payment::{self, Presence};
use crate::flows::{change, collection, subscription, terms};
use crate::hosted::checkout::{FieldError, Input, card_fields, interval_of, test_cards};
use crate::hosted::html::{App, esc, link, notice, page, see_other};
use crate::money;
use crate::objects::{
    BillingReason, Customer, Invoice, InvoiceStatus, PaymentIntent, Price, Subscription, SubscriptionStatus,
};
use crate::state::Shared;
use crate::store::{Origin, Tx};

/// The time for which a session is valid, in seconds.
const VALID_FOR: i64 = 3_600;

type Page = Box<Response>;

/// `GET /p/session/{session}`: the overview, or the task of a deep link.
pub(crate) async fn show(State(shared): App, Path(id): Path<String>) -> Response {
    with_session(&shared, &id, |tx, session| match flow_of(session) {
        None | Some(Flow::ChangeCard) => overview(tx, session, &Input::default(), None, StatusCode::OK),
        Some(Flow::Cancel(plan)) => Ok(see_other(&format!("{}/cancel/{plan}", address(session)))),
        Some(Flow::Change(plan)) => Ok(see_other(&format!("{}/change/{plan}", address(session)))),
        Some(Flow::Confirm(plan, price)) => Ok(see_other(&format!("{}/change/{plan}?price={price}", address(session)))),
    })
}

/// The task of a deep link.
enum Flow {
    ChangeCard,
    /// With the id of a subscription, as below.
    Cancel(String),
    Change(String),
    /// With the id of the new price.
    Confirm(String, String),
}

/// Returns the task of a deep link. Once it is done, the link opens the overview.
fn flow_of(session: &Value) -> Option<Flow> {
    let flow = session.get("flow").filter(|flow| flow.is_object() && !session.flag("_done"))?;
    let kind = flow.text("type");
    let plan = flow[kind].text("subscription").to_owned();
    Some(match kind {
        "subscription_cancel" => Flow::Cancel(plan),
        "subscription_update" => Flow::Change(plan),
        "subscription_update_confirm" => {
            let price = flow[kind].list("items").first().map_or("", |item| item.text("price"));
            Flow::Confirm(plan, price.to_owned())
        }
        _ => Flow::ChangeCard,
    })
}

/// Redirects after an action; a deep link's parameters determine the target.
fn after(tx: &mut Tx<'_>, session: &Value) -> Response {
    if flow_of(session).is_none() {
        return see_other(&address(session));
    }
    tx.quietly(session.text("id"), |session| session.set("_done", true));
    let then = &session["flow"]["after_completion"];
    match then.text("type") {
        "redirect" => see_other(then["redirect"].text("return_url")),
        "hosted_confirmation" => {
            let text = then["hosted_confirmation"].some("custom_message").unwrap_or("Your changes are saved.");
            let back = session.some("return_url").map(|url| (url, "Back"));
            notice(StatusCode::OK, "Done", text, back)
        }
        _ => see_other(&address(session)),
    }
}

/// `POST /p/session/{session}`: replaces the card.
pub(crate) async fn change_card(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let input = Input::read(&body);
    with_session(&shared, &id, |tx, session| {
        if !offers(tx, session, "payment_method_update") {
            return Ok(not_available());
        }
        let field_error = match input.card(tx) {
            Ok(method) => match save(tx, session.text("customer"), &method, &input) {
                Ok(()) => return Ok(after(tx, session)),
                Err(error) if error.is_card_error() => {
                    FieldError { field: "number", message: error.message.to_string() }
                }
                Err(error) => return Err(error),
            },
            Err(field_error) => field_error,
        };
        overview(tx, session, &input, Some(&field_error), StatusCode::UNPROCESSABLE_ENTITY)
    })
}

/// Makes a card the default of the customer and of its subscriptions.
fn save(tx: &mut Tx<'_>, customer: &str, method: &Value, input: &Input) -> Result<(), ApiError> {
    let id = method.text("id");
    tx.quietly(id, |method| method["billing_details"].set("name", input.name.as_str()));
    let method = tx.find("payment_method", id)?;
    payment::attach(tx, &method, customer)?;
    tx.update(customer, "customer.updated", |customer: &mut Customer| {
        customer.invoice_settings.default_payment_method = Some(id.to_owned());
    })?;
    for running in running(tx, customer)? {
        if running.default_payment_method.is_some() {
            tx.update(&running.id, terms::UPDATED, |running: &mut Subscription| {
                running.default_payment_method = Some(id.to_owned());
            })?;
        }
    }
    Ok(())
}

/// `POST /p/session/{session}/pay/{invoice}`
pub(crate) async fn pay(State(shared): App, Path((id, due)): Path<(String, String)>) -> Response {
    with_session(&shared, &id, |tx, session| {
        let open = tx.read::<Invoice>(&due).ok().filter(|due| due.customer == session.text("customer"));
        let Some(open) = open.filter(|due| due.status == InvoiceStatus::Open) else {
            return Ok(see_other(&address(session)));
        };
        let method = open
            .subscription()
            .and_then(|id| tx.read(id).ok())
            .and_then(|found| terms::default_method(tx, &found))
            .or_else(|| payment::default_method(tx, session.text("customer")));
        let rejected = match method {
            None => "Add a card first.".to_owned(),
            Some(method) => {
                let method = payment::method(tx, &method, "payment_method")?;
                let intent = open.intent();
                tx.update_quietly(intent, |intent: &mut PaymentIntent| intent.return_url = Some(address(session)))?;
                match invoice::pay(tx, &due, &method, Presence::OnSession, IfDeclined::Leave) {
                    Ok(paid) if paid.status == InvoiceStatus::Paid => {
                        collection::invoice_settled(tx, &paid)?;
                        return Ok(see_other(&address(session)));
                    }
                    // A bank debit is in progress.
                    Ok(paid) if paid.debited => return Ok(see_other(&address(session))),
                    Ok(_) => return Ok(see_other(&format!("/authenticate/{intent}"))),
                    Err(error) if error.is_card_error() => error.message.to_string(),
                    Err(error) => return Err(error),
                }
            }
        };
        let field_error = FieldError { field: "number", message: rejected };
        overview(tx, session, &Input::default(), Some(&field_error), StatusCode::PAYMENT_REQUIRED)
    })
}

/// `GET /p/session/{session}/cancel/{subscription}`: asks for confirmation.
pub(crate) async fn confirm_cancellation(State(shared): App, Path((id, plan)): Path<(String, String)>) -> Response {
    with_session(&shared, &id, |tx, session| {
        let Some(plan) = owned(tx, session, &plan, CANCEL)? else {
            return Ok(not_available());
        };
        let settings = feature(tx, session, CANCEL);
        let follows = match settings.text("mode") {
            "immediately" => "Your plan will end now, and you won't be charged again.".to_owned(),
            _ => format!(
                "You keep your plan until {}. You won't be charged again, and you can undo this until then.",
                clock::long_date(plan.period().1)
            ),
        };
        let main = format!(
            r#"<div class="card narrow"><h1>Cancel {name}?</h1>
<p>{follows}</p>
<form method="post">{reasons}<div class="actions"><button>Cancel plan</button><a class="button second" href="{back}">Keep plan</a></div></form></div>"#,
            name = esc(&name_of(tx, &plan)),
            reasons = reason_field(&settings["cancellation_reason"]),
            back = address(session),
        );
        Ok(page(StatusCode::OK, "Cancel plan", &main))
    })
}

/// Renders the question for a cancellation reason, if enabled.
fn reason_field(settings: &Value) -> String {
    if !settings.flag("enabled") {
        return String::new();
    }
    let options: String = settings
        .list("options")
        .iter()
        .filter_map(Value::as_str)
        .map(|reason| format!(r#"<option value="{reason}">{}</option>"#, reason.replace('_', " ")))
        .collect();
    format!(
        r#"<div><label for="feedback">Why are you canceling?</label><select id="feedback" name="feedback"><option value="">I'd rather not say</option>{options}</select></div>"#
    )
}

/// `POST /p/session/{session}/cancel/{subscription}`
pub(crate) async fn cancel(State(shared): App, Path((id, plan)): Path<(String, String)>, body: String) -> Response {
    let feedback = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "feedback");
    let feedback = feedback.map(|(_, reason)| reason.into_owned()).filter(|reason| !reason.is_empty());
    with_session(&shared, &id, |tx, session| {
        let Some(current) = owned(tx, session, &plan, CANCEL)? else {
            return Ok(not_available());
        };
        let settings = feature(tx, session, CANCEL);
        let details = json!({ "feedback": feedback });
        match settings.text("mode") {
            "immediately" => {
                let prorates = settings.text("proration_behavior") != "none";
                let invoices = settings.text("proration_behavior") == "always_invoice";
                let params = json!({ "prorate": prorates, "invoice_now": invoices, "cancellation_details": details });
                subscription::cancel(tx, &current, &params)?;
            }
            _ => {
                let mut params = at_period_end(&current, true);
                params["cancellation_details"] = details;
                change::update(tx, &plan, &params)?;
            }
        }
        Ok(after(tx, session))
    })
}

/// Returns the parameters with which the portal cancels a subscription at the end of its period, or undoes that:
/// `cancel_at` in flexible billing mode, `cancel_at_period_end` in classic mode (Stripe docs, "Compare billing modes").
fn at_period_end(subscription: &Subscription, cancels: bool) -> Value {
    if subscription.billing_mode.is_flexible() {
        json!({ "cancel_at": cancels.then_some(subscription.period().1) })
    } else {
        json!({ "cancel_at_period_end": cancels })
    }
}

/// `POST /p/session/{session}/resume/{subscription}`
pub(crate) async fn resume(State(shared): App, Path((id, plan)): Path<(String, String)>) -> Response {
    with_session(&shared, &id, |tx, session| {
        let Some(current) = owned(tx, session, &plan, CANCEL)? else {
            return Ok(not_available());
        };
        change::update(tx, &plan, &at_period_end(&current, false))?;
        Ok(see_other(&address(session)))
    })
}

/// The query of the page for changing plans.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanQuery {
    #[serde(default)]
    price: String,
}

/// `GET /p/session/{session}/change/{subscription}`: lists the plans, or with `?price=` shows the cost of
/// changing to one.
pub(crate) async fn plans(
    State(shared): App,
    Path((id, plan)): Path<(String, String)>,
    Query(chosen): Query<PlanQuery>,
) -> Response {
    with_session(&shared, &id, |tx, session| {
        let Some(plan) = owned(tx, session, &plan, CHANGE)? else {
            return Ok(not_available());
        };
        let main = match offered_price(tx, session, &chosen.price) {
            None => list_of_plans(tx, session, &plan),
            Some(price) => confirmation(tx, session, &plan, &price)?,
        };
        Ok(page(StatusCode::OK, "Change plan", &main))
    })
}

/// Returns the prices that the configuration allows changing to.
fn offered_prices(tx: &Tx<'_>, session: &Value) -> Vec<Price> {
    let products = feature(tx, session, CHANGE);
    let prices = products.list("products").iter().flat_map(|product| product.list("prices"));
    prices.filter_map(Value::as_str).filter_map(|id| tx.read(id).ok()).collect()
}

fn offered_price(tx: &Tx<'_>, session: &Value, id: &str) -> Option<Price> {
    offered_prices(tx, session).into_iter().find(|price| price.id == id)
}

fn format_price(price: &Price) -> String {
    format!("{} {}", price.formatted(), price.recurring.as_ref().map(interval_of).unwrap_or_default())
}

fn list_of_plans(tx: &Tx<'_>, session: &Value, plan: &Subscription) -> String {
    let current = plan.items().first().map_or("", |item| item.price.id.as_str());
    let (at, id) = (address(session), &plan.id);
    let rows: String = offered_prices(tx, session)
        .iter()
        .map(|price| {
            let name = tx.get(&price.product).map_or("Plan", |product| product.text("name"));
            let choice = match price.id.as_str() {
                known if known == current => "Current plan".to_owned(),
                other => format!(r#"<a href="{at}/change/{id}?price={other}">Choose {}</a>"#, esc(name)),
            };
            format!("<li><span>{} · {}</span><span>{choice}</span></li>", esc(name), format_price(price))
        })
        .collect();
    format!(
        r#"<div class="card narrow"><h1>Change plan</h1><ul class="lines">{rows}</ul><p><a href="{at}">Back</a></p></div>"#
    )
}

/// Returns the parameters of a change of price.
fn change_to(tx: &Tx<'_>, session: &Value, plan: &Subscription, price: &str) -> Value {
    let item = plan.items().first().map_or("", |item| item.id.as_str());
    let proration = feature(tx, session, CHANGE).some("proration_behavior").unwrap_or("none").to_owned();
    json!({ "items": [{ "id": item, "price": price }], "proration_behavior": proration })
}

fn confirmation(tx: &Tx<'_>, session: &Value, plan: &Subscription, price: &Price) -> Result<String, ApiError> {
    let preview = change::preview(tx, plan, &change_to(tx, session, plan, &price.id))?;
    let due = match preview.billing_reason {
        BillingReason::Upcoming => "Nothing is due today.".to_owned(),
        _ => format!("{} is due today.", money::format(preview.amount_due, &preview.currency)),
    };
    let name = tx.get(&price.product).map_or("Plan", |product| product.text("name"));
    Ok(format!(
        r#"<div class="card narrow"><h1>Change to {name}?</h1><p class="price">{each}</p><p>{due}</p>
<form method="post" action="{at}/change/{id}"><input type="hidden" name="price" value="{price}"><div class="actions"><button>Confirm</button><a class="button second" href="{at}">Keep plan</a></div></form></div>"#,
        name = esc(name),
        each = format_price(price),
        at = address(session),
        id = plan.id,
        price = price.id,
    ))
}

/// `POST /p/session/{session}/change/{subscription}`
pub(crate) async fn change_plan(
    State(shared): App,
    Path((id, plan)): Path<(String, String)>,
    body: String,
) -> Response {
    let price = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "price");
    let price = price.map(|(_, id)| id.into_owned()).unwrap_or_default();
    with_session(&shared, &id, |tx, session| {
        let (Some(current), Some(price)) = (owned(tx, session, &plan, CHANGE)?, offered_price(tx, session, &price))
        else {
            return Ok(not_available());
        };
        let mut params = change_to(tx, session, &current, &price.id);
        params.set("payment_behavior", "error_if_incomplete");
        match change::update(tx, &plan, &params) {
            Ok(_) => Ok(after(tx, session)),
            Err(error) => Err(error),
        }
    })
}

/// `POST /p/session/{session}/details`: updates the billing details.
pub(crate) async fn change_details(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    with_session(&shared, &id, |tx, session| {
        let settings = feature(tx, session, "customer_update");
        if !settings.flag("enabled") {
            return Ok(not_available());
        }
        let mut params = json!({});
        for (name, value) in form_urlencoded::parse(body.as_bytes()) {
            if settings.list("allowed_updates").iter().any(|allowed| *allowed == *name) {
                params.set(&name, value.trim());
            }
        }
        let mut customer: Customer = tx.read(session.text("customer"))?;
        customer.apply(&params)?;
        tx.replace(&customer.id, "customer.updated", &customer)?;
        Ok(see_other(&address(session)))
    })
}

/// Runs an action in a transaction if the session is valid.
fn with_session(
    shared: &Shared,
    id: &str,
    work: impl FnOnce(&mut Tx<'_>, &Value) -> Result<Response, ApiError>,
) -> Response {
    let outcome = shared.transaction(Origin::default(), |tx| match session(tx, id) {
        Ok(session) => work(tx, &session),
        Err(page) => Ok(*page),
    });
    outcome.unwrap_or_else(|error| {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        notice(status, "That didn't work", &error.message, Some((&format!("/p/session/{id}"), "Back")))
    })
}

fn session(tx: &Tx<'_>, id: &str) -> Result<Value, Page> {
    let Some(session) = tx.lookup("billing_portal.session", id) else {
        let text = "We couldn't find this portal session. The link may be incomplete.";
        return Err(Box::new(notice(StatusCode::NOT_FOUND, "Page not found", text, None)));
    };
    if tx.now() >= session.int("created") + VALID_FOR {
        let text = "Links to the customer portal are valid for an hour. Go back to get a new one.";
        let back = session.some("return_url").map(|url| (url, "Back"));
        return Err(Box::new(notice(StatusCode::GONE, "This link has expired", text, back)));
    }
    Ok(session.clone())
}

fn not_available() -> Response {
    notice(StatusCode::NOT_FOUND, "Page not found", "This isn't available in the portal.", None)
}

fn address(session: &Value) -> String {
    format!("/p/session/{}", session.text("id"))
}

const CANCEL: &str = "subscription_cancel";
const CHANGE: &str = "subscription_update";

/// Returns a feature of the session's configuration.
fn feature(tx: &Tx<'_>, session: &Value, name: &str) -> Value {
    tx.get(session.text("configuration")).map(|found| found["features"][name].clone()).unwrap_or_default()
}

fn offers(tx: &Tx<'_>, session: &Value, name: &str) -> bool {
    feature(tx, session, name).flag("enabled")
}

fn running(tx: &Tx<'_>, customer: &str) -> Result<Vec<Subscription>, ApiError> {
    let mut all: Vec<Subscription> = tx.owned_by(customer)?;
    all.retain(|subscription| !subscription.status.has_ended());
    Ok(all)
}

/// Returns the customer's subscription if it has not ended and the feature is enabled.
fn owned(tx: &Tx<'_>, session: &Value, id: &str, name: &str) -> Result<Option<Subscription>, ApiError> {
    let mut all = running(tx, session.text("customer"))?.into_iter();
    Ok(all.find(|found| found.id == id).filter(|_| offers(tx, session, name)))
}

fn name_of(tx: &Tx<'_>, plan: &Subscription) -> String {
    let product = plan.items().first().and_then(|item| tx.get(&item.price.product));
    product.map_or("Plan", |product| product.text("name")).to_owned()
}

fn plan_card(tx: &Tx<'_>, session: &Value, plan: &Subscription) -> String {
    let end = clock::long_date(plan.period().1);
    let cancels = plan.cancel_at.is_some();
    let status = match plan.status {
        _ if cancels => format!("Ends on {end}"),
        SubscriptionStatus::Trialing => format!("Trial until {end}"),
        SubscriptionStatus::Active => format!("Renews on {end}"),
        SubscriptionStatus::PastDue => "Past due: your last payment failed".to_owned(),
        other => other.to_string().replace('_', " "),
    };
    let price = plan.items().first().map_or_else(String::new, |item| {
        let price = &item.price;
        let amount = price.unit_amount.unwrap_or_default() * item.quantity.unwrap_or(1).max(1);
        let interval = price.recurring.as_ref().map(interval_of).unwrap_or_default();
        format!("{} {interval}", money::format(amount, &price.currency))
    });
    let (at, id) = (address(session), &plan.id);
    let change = match offers(tx, session, CHANGE) {
        true => format!(r#"<p><a href="{at}/change/{id}">Change plan</a></p>"#),
        false => String::new(),
    };
    let action = match (offers(tx, session, CANCEL), cancels) {
        (false, _) => String::new(),
        (true, true) => {
            format!(r#"<form method="post" action="{at}/resume/{id}"><button>Don't cancel</button></form>"#)
        }
        (true, false) => format!(r#"<p><a href="{at}/cancel/{id}">Cancel plan</a></p>"#),
    };
    format!(
        r#"<h2>{}</h2><p class="price">{price}</p><p class="muted">{status}</p>{change}{action}"#,
        esc(&name_of(tx, plan))
    )
}

/// Describes a payment method.
fn describe(method: &Value) -> String {
    let kind = method.text("type");
    let details = &method[kind];
    let last4 = esc(details.text("last4"));
    match kind {
        "card" => {
            let (month, year) = (details.int("exp_month"), details.int("exp_year"));
            format!("{} ending in {last4}, expires {month:02} / {year}", esc(details.text("brand")))
        }
        "link" => format!("Link ({})", esc(details.text("email"))),
        _ => format!("Bank account ending in {last4}"),
    }
}

fn overview(
    tx: &mut Tx<'_>,
    session: &Value,
    input: &Input,
    field_error: Option<&FieldError>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let customer: Customer = tx.read(session.text("customer"))?;
    let plans = running(tx, &customer.id)?;
    let shown: String = plans.iter().map(|plan| plan_card(tx, session, plan)).collect();
    let shown = if shown.is_empty() { "<p>You don't have a plan.</p>".to_owned() } else { shown };
    let used = plans.first().and_then(|plan| terms::default_method(tx, plan));
    let used = used.or_else(|| customer.default_payment_method().map(str::to_owned));
    let on_file = used.and_then(|id| tx.get(&id)).map_or_else(|| "No card on file.".to_owned(), describe);
    let invoices: Vec<Invoice> = tx.owned_by(&customer.id)?;
    let at = address(session);
    let due: String = invoices
        .iter()
        .filter(|invoice| invoice.status == InvoiceStatus::Open)
        .map(|invoice| {
            let amount = money::format(invoice.amount_remaining, &invoice.currency);
            format!(r#"<form method="post" action="{at}/pay/{}"><button>Pay {amount} now</button></form>"#, invoice.id)
        })
        .collect();
    let rows: String = invoices
        .iter()
        .filter(|invoice| invoice.status != InvoiceStatus::Draft)
        .map(|invoice| {
            format!(
                r#"<li><a href="{}">{} · {}</a><span class="amount">{} · <a href="{}">PDF</a></span></li>"#,
                link(invoice.hosted_invoice_url.as_deref().unwrap_or_default()),
                clock::long_date(invoice.created),
                invoice.status,
                money::format(invoice.total, &invoice.currency),
                link(invoice.invoice_pdf.as_deref().unwrap_or_default()),
            )
        })
        .collect();
    let history = match offers(tx, session, "invoice_history") {
        true => format!(r#"<h2>Invoices</h2><ul class="lines">{rows}</ul>"#),
        false => String::new(),
    };
    let card = match offers(tx, session, "payment_method_update") {
        true => {
            let (fields, cards) = (card_fields(input, field_error), test_cards());
            format!(r#"<form method="post" action="{at}" novalidate>{fields}<button>Save card</button></form>{cards}"#)
        }
        false => String::new(),
    };
    let details = details_form(tx, session, &customer);
    let back = session.some("return_url").map_or_else(String::new, |url| {
        let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or(url);
        format!(r#"<a class="back" href="{}">Return to {}</a>"#, link(url), esc(host))
    });
    let main = format!(
        r#"{back}
<div class="columns">
<section><h1>Billing</h1>{shown}{due}{history}</section>
<section class="card" aria-label="Payment method"><h2>Payment method</h2><p>{on_file}</p>{card}{details}</section>
</div>"#
    );
    Ok(page(status, "Billing", &main))
}

/// Renders the form for billing details, if enabled.
fn details_form(tx: &Tx<'_>, session: &Value, customer: &Customer) -> String {
    let settings = feature(tx, session, "customer_update");
    if !settings.flag("enabled") {
        return String::new();
    }
    let fields = [
        ("email", "E-mail", "email", &customer.email),
        ("name", "Name", "name", &customer.name),
        ("phone", "Phone", "tel", &customer.phone),
    ];
    let fields: String = fields
        .into_iter()
        .filter(|(name, ..)| settings.list("allowed_updates").iter().any(|allowed| *allowed == *name))
        .map(|(name, label, autocomplete, value)| {
            let value = esc(value.as_deref().unwrap_or_default());
            format!(
                r#"<div><label for="details-{name}">{label}</label><input id="details-{name}" name="{name}" value="{value}" autocomplete="{autocomplete}"></div>"#
            )
        })
        .collect();
    let at = address(session);
    format!(
        r#"<h2>Billing details</h2><form method="post" action="{at}/details">{fields}<button class="second">Save details</button></form>"#
    )
}
