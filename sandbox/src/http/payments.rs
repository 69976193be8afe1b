//! `/v1/payment_intents`, `/v1/setup_intents`, `/v1/payment_methods` and `/v1/charges`

use serde_json::{Value, json};

use crate::banks;
use crate::cards;
use crate::error::ApiError;
use crate::fields::{Fields, assign, copy, merge_metadata};
use crate::flows::collection;
use crate::flows::invoice::{self, IfDeclined};
use crate::flows::payment::{self, Presence};
use crate::http::call::{Call, Route, route};
use crate::http::list::{filtered, matches_filters, page};
use crate::objects::{self, Customer, IntentStatus, InvoiceStatus, Object, PaymentIntent};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/payment_intents", create_intent),
    route("GET /v1/payment_intents", |tx, call| filtered(tx, call, "payment_intent", &["customer"])),
    route("GET /v1/payment_intents/:id", |tx, call| tx.find("payment_intent", &call.id)),
    route("POST /v1/payment_intents/:id/confirm", confirm_intent),
    route("POST /v1/payment_intents/:id/cancel", cancel_intent),
    route("POST /v1/setup_intents", create_setup),
    route("GET /v1/setup_intents", |tx, call| filtered(tx, call, "setup_intent", &["customer", "payment_method"])),
    route("GET /v1/setup_intents/:id", |tx, call| tx.find("setup_intent", &call.id)),
    route("POST /v1/setup_intents/:id/confirm", confirm_setup),
    route("POST /v1/setup_intents/:id/cancel", cancel_setup),
    route("POST /v1/payment_methods", create_method),
    route("GET /v1/payment_methods", list_methods),
    route("GET /v1/payment_methods/:id", |tx, call| tx.find("payment_method", &call.id)),
    route("POST /v1/payment_methods/:id", update_method),
    route("POST /v1/payment_methods/:id/attach", attach),
    route("POST /v1/payment_methods/:id/detach", detach),
    route("GET /v1/charges", |tx, call| filtered(tx, call, "charge", &["customer", "payment_intent"])),
    route("GET /v1/charges/:id", |tx, call| tx.find("charge", &call.id)),
];

fn create_intent(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let amount = params.int("amount");
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::invalid("parameter_invalid_integer", message).on("amount"));
    }
    let customer = match params.some("customer") {
        Some(id) => Some(tx.customer(id)?.id),
        None => None,
    };
    let mut intent = PaymentIntent::new(amount, params.text("currency"), customer.as_deref(), tx.now());
    intent.describe(params);
    if let Some(automatic) = params.get("automatic_payment_methods") {
        let redirects = automatic.some("allow_redirects").unwrap_or("always");
        intent.automatic_payment_methods = json!({ "allow_redirects": redirects, "enabled": automatic["enabled"] });
    }
    if params.get("payment_method_types").is_some() {
        let types = params.list("payment_method_types").iter().filter_map(Value::as_str);
        intent.payment_method_types = types.map(str::to_owned).collect();
    }
    intent.return_url = params.some("return_url").map(str::to_owned);
    if let Some(id) = params.some("payment_method") {
        let method = payment::method(tx, id, "payment_method")?;
        if !intent.payment_method_types.iter().any(|kind| kind == method.text("type")) {
            let message = format!(
                "The PaymentMethod provided ({}) is not allowed for this PaymentIntent. Please attach a PaymentMethod of one of the allowed types.",
                method.text("type")
            );
            return Err(ApiError::invalid("payment_intent_invalid_parameter", message).on("payment_method"));
        }
        intent.payment_method = Some(method.text("id").to_owned());
        intent.status = IntentStatus::RequiresConfirmation;
    }
    tx.insert("payment_intent.created", &intent)?;
    match params.flag("confirm") {
        true => confirm(tx, &intent, params)?.to_json(),
        false => intent.to_json(),
    }
}

fn confirm(tx: &mut Tx<'_>, intent: &PaymentIntent, params: &Value) -> Result<PaymentIntent, ApiError> {
    let id = intent.id.as_str();
    let named = params.some("payment_method").or(intent.payment_method.as_deref());
    let Some(method) = named else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";
        return Err(ApiError::invalid("payment_intent_unexpected_state", message).of_intent(id));
    };
    let method = payment::method(tx, method, "payment_method")?;
    let intent = tx.update_quietly(id, |intent: &mut PaymentIntent| {
        assign(&mut intent.receipt_email, params, "receipt_email");
        assign(&mut intent.setup_future_usage, params, "setup_future_usage");
        if let Some(url) = params.some("return_url") {
            intent.return_url = Some(url.to_owned());
        }
    })?;
    if params.flag("error_on_requires_action") && payment::requires_authentication(&method) {
        return Err(cards::AUTHENTICATION_REQUIRED.error());
    }
    if let Some(invoice) = &intent.invoice {
        let paid = invoice::pay(tx, invoice, &method, Presence::of(params), IfDeclined::Leave)?;
        if paid.status == InvoiceStatus::Paid {
            collection::invoice_settled(tx, &paid)?;
        }
        return tx.read(id);
    }
    let confirmed = payment::confirm(tx, &intent, &method, Presence::of(params))?;
    if let Some(customer) = &confirmed.customer
        && confirmed.setup_future_usage.is_some()
        && confirmed.status == IntentStatus::Succeeded
    {
        let method = tx.find("payment_method", method.text("id"))?;
        payment::attach(tx, &method, customer)?;
    }
    Ok(confirmed)
}

fn confirm_intent(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let intent: PaymentIntent = tx.read(&call.id)?;
    if intent.is_final() {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has already {} after being previously confirmed.",
            intent.status
        );
        return Err(ApiError::invalid("payment_intent_unexpected_state", message).of_intent(&call.id));
    }
    confirm(tx, &intent, &call.params)?.to_json()
}

fn cancel_intent(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let intent: PaymentIntent = tx.read(&call.id)?;
    if intent.is_final() {
        let message = format!("You cannot cancel this PaymentIntent because it has a status of {}.", intent.status);
        return Err(ApiError::invalid("payment_intent_unexpected_state", message).of_intent(&call.id));
    }
    let now = tx.now();
    let canceled = tx.update(&call.id, "payment_intent.canceled", |intent: &mut PaymentIntent| {
        intent.cancel(call.params.some("cancellation_reason"), now);
    })?;
    canceled.to_json()
}

fn create_setup(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    if let Some(customer) = params.some("customer") {
        tx.customer(customer)?;
    }
    let usage = params.some("usage").unwrap_or("off_session");
    let mut intent = objects::setup_intent(params.some("customer"), usage, tx.now());
    copy(&mut intent, params, &["description"]);
    merge_metadata(&mut intent, params);
    intent.set("_return_url", params.some("return_url"));
    if let Some(id) = params.some("payment_method") {
        let method = payment::method(tx, id, "payment_method")?;
        intent.set("payment_method", method["id"].clone());
        intent.set("status", "requires_confirmation");
    }
    tx.create("setup_intent.created", &intent);
    match params.flag("confirm") {
        true => set_up(tx, &intent, params),
        false => Ok(intent),
    }
}

fn set_up(tx: &mut Tx<'_>, intent: &Value, params: &Value) -> Result<Value, ApiError> {
    let named = params.some("payment_method").or(intent.some("payment_method"));
    let Some(method) = named else {
        let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
        return Err(ApiError::invalid("setup_intent_unexpected_state", message));
    };
    let method = payment::method(tx, method, "payment_method")?;
    payment::confirm_setup(tx, intent, &method, Presence::OnSession)
}

fn confirm_setup(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let intent = tx.find("setup_intent", &call.id)?;
    if matches!(intent.text("status"), "succeeded" | "canceled") {
        let message =
            format!("You cannot confirm this SetupIntent because it has a status of {}.", intent.text("status"));
        return Err(ApiError::invalid("setup_intent_unexpected_state", message));
    }
    set_up(tx, &intent, &call.params)
}

fn cancel_setup(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let intent = tx.find("setup_intent", &call.id)?;
    if matches!(intent.text("status"), "succeeded" | "canceled") {
        let message =
            format!("You cannot cancel this SetupIntent because it has a status of {}.", intent.text("status"));
        return Err(ApiError::invalid("setup_intent_unexpected_state", message));
    }
    tx.change(&call.id, "setup_intent.canceled", |intent| {
        intent.set("status", "canceled");
        intent.set("cancellation_reason", call.params.some("cancellation_reason"));
        intent.set("next_action", Value::Null);
    })
}

fn create_method(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let method = match params.text("type") {
        "card" => new_card(tx, &params["card"])?,
        kind => new_account(tx, kind, &params[kind])?,
    };
    let id = method.text("id").to_owned();
    tx.quietly(&id, |method| apply_method(method, params));
    tx.find("payment_method", &id)
}

fn new_card(tx: &mut Tx<'_>, card: &Value) -> Result<Value, ApiError> {
    match (card.some("token"), card.some("number")) {
        (Some(token), _) => payment::method(tx, token, "card[token]"),
        (None, Some(number)) => {
            let expiry = (card.int("exp_month"), card.int("exp_year"));
            let card = payment::card_of(number, expiry, tx.now())?;
            Ok(payment::new_method(tx, card, expiry))
        }
        (None, None) => {
            let message = "Missing required param: card[number].";
            Err(ApiError::invalid("parameter_missing", message).on("card[number]"))
        }
    }
}

fn new_account(tx: &mut Tx<'_>, kind: &str, sent: &Value) -> Result<Value, ApiError> {
    let field = if kind == "sepa_debit" { "iban" } else { "account_number" };
    let param = format!("{kind}[{field}]");
    let number = sent.some(field).ok_or_else(|| {
        ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(&param)
    })?;
    let account = banks::account(kind, number).ok_or_else(|| {
        let message = "This is not one of Stripe's test account numbers.";
        ApiError::invalid("", message).on(&param)
    })?;
    Ok(payment::new_account(tx, account))
}

fn apply_method(method: &mut Value, params: &Value) {
    copy(method, params, &["allow_redisplay"]);
    merge_metadata(method, params);
    if let Some(details) = params.get("billing_details") {
        copy(&mut method["billing_details"], details, &["email", "name", "phone"]);
        if let Some(address) = details.get("address") {
            let fields = ["city", "country", "line1", "line2", "postal_code", "state"];
            copy(&mut method["billing_details"]["address"], address, &fields);
        }
    }
}

fn list_methods(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let all = tx.newest("payment_method");
    page(
        call,
        all.filter(|method| {
            method.some("customer").is_some() && matches_filters(call, method, &["customer", "type", "allow_redisplay"])
        }),
    )
}

fn update_method(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let method = tx.find("payment_method", &call.id)?;
    if method.some("customer").is_none() {
        let message = "You must save this PaymentMethod to a customer before you can update it.";
        return Err(ApiError::invalid("", message));
    }
    tx.change(&call.id, "payment_method.updated", |method| {
        apply_method(method, &call.params);
        if let Some(card) = call.params.get("card") {
            copy(&mut method["card"], card, &["exp_month", "exp_year"]);
        }
    })
}

fn attach(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let customer = tx.customer(call.params.text("customer"))?;
    let method = match payment::method(tx, &call.id, "id") {
        Ok(method) => method,
        Err(_) => return Err(ApiError::missing("PaymentMethod", &call.id)),
    };
    payment::attach(tx, &method, &customer.id)
}

fn detach(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let method = tx.find("payment_method", &call.id)?;
    let Some(customer) = method.some("customer") else {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::invalid("payment_method_unexpected_state", message));
    };
    let customer = customer.to_owned();
    if payment::default_method(tx, &customer).as_deref() == Some(&call.id) {
        tx.update(&customer, "customer.updated", |customer: &mut Customer| {
            customer.invoice_settings.default_payment_method = None;
        })?;
    }
    tx.change(&call.id, "payment_method.detached", |method| method.set("customer", Value::Null))
}
