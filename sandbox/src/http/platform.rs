//! `/v1/account`, `/v1/balance`, `/v1/events` and `/v1/webhook_endpoints`

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata, metadata};
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{in_range, page};
use crate::ids;
use crate::objects;
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("GET /v1/account", account),
    route("GET /v1/balance", balance),
    route("GET /v1/events", events),
    route("GET /v1/events/:id", |tx, call| tx.find("event", &call.id)),
    route("POST /v1/webhook_endpoints", create),
    route("GET /v1/webhook_endpoints", |tx, call| page(call, tx.newest("webhook_endpoint"))),
    route("GET /v1/webhook_endpoints/:id", |tx, call| tx.find("webhook_endpoint", &call.id)),
    route("POST /v1/webhook_endpoints/:id", update),
    route("DELETE /v1/webhook_endpoints/:id", delete),
];

fn account(tx: &mut Tx<'_>, _: &Call) -> Result<Value, ApiError> {
    let known = tx.newest("account").next().cloned();
    known.ok_or_else(|| ApiError::internal("There is no account."))
}

/// Returns the sum of settled charges, less refunds and disputes.
fn balance(tx: &mut Tx<'_>, _: &Call) -> Result<Value, ApiError> {
    let mut amounts: BTreeMap<&str, i64> = BTreeMap::from([("usd", 0)]);
    for charge in tx.newest("charge").filter(|charge| charge.flag("paid")) {
        *amounts.entry(charge.text("currency")).or_default() += charge.int("amount") - charge.int("amount_refunded");
    }
    for movement in tx.newest("dispute").flat_map(|dispute| dispute.list("balance_transactions")) {
        *amounts.entry(movement.text("currency")).or_default() += movement.int("net");
    }
    let shown = |of: &dyn Fn(i64) -> i64| -> Vec<Value> {
        let amounts = amounts.iter();
        amounts
            .map(|(currency, amount)| {
                json!({ "amount": of(*amount), "currency": currency, "source_types": { "card": of(*amount) } })
            })
            .collect()
    };
    Ok(json!({
        "object": "balance",
        "available": shown(&|amount| amount),
        "livemode": false,
        "pending": shown(&|_| 0),
        "refund_and_dispute_prefunding": { "available": [], "pending": [] },
    }))
}

fn events(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    if params.get("type").is_some() && params.get("types").is_some() {
        let message = "You may only specify one of these parameters: type, types.";
        return Err(ApiError::invalid("", message).on("types"));
    }
    let types = params.list("types");
    let is_requested = |kind: &str| match params.some("type") {
        Some(pattern) => match pattern.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == pattern,
        },
        None => types.is_empty() || types.iter().any(|requested| requested == kind),
    };
    let delivered = params.get("delivery_success").and_then(Value::as_bool);
    let all = tx.newest("event");
    page(
        call,
        all.filter(|event| {
            is_requested(event.text("type"))
                && in_range(params.get("created"), event.int("created"))
                && delivered.is_none_or(|delivered| delivered == (event.int("pending_webhooks") == 0))
        }),
    )
}

fn check_url(params: &Value) -> Result<(), ApiError> {
    match params.some("url") {
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
            Err(ApiError::invalid("url_invalid", "Invalid URL: An explicit scheme (such as https) must be provided.")
                .on("url"))
        }
        _ => Ok(()),
    }
}

/// Creates an endpoint. Only this response contains the signing secret.
fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    check_url(params)?;
    let secret = format!("whsec_{}", ids::new(""));
    let mut endpoint = objects::webhook_endpoint(params.text("url"), &secret, tx.now());
    copy(&mut endpoint, params, &["api_version", "description", "enabled_events"]);
    endpoint.set("metadata", metadata(params));
    tx.put(endpoint.clone());
    endpoint.set("secret", secret);
    Ok(endpoint)
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find("webhook_endpoint", &call.id)?;
    check_url(&call.params)?;
    tx.quietly(&call.id, |endpoint| {
        copy(endpoint, &call.params, &["description", "enabled_events", "url"]);
        merge_metadata(endpoint, &call.params);
        if let Some(disabled) = call.params.get("disabled").and_then(Value::as_bool) {
            endpoint.set("status", if disabled { "disabled" } else { "enabled" });
        }
    });
    tx.find("webhook_endpoint", &call.id)
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find("webhook_endpoint", &call.id)?;
    let pending = tx.referring("_delivery", &call.id).filter(|delivery| delivery.text("state") == "pending");
    let pending: Vec<String> = pending.map(|delivery| delivery.text("id").to_owned()).collect();
    for delivery in pending {
        tx.quietly(&delivery, |delivery| delivery.set("state", "dropped"));
    }
    tx.remove(&call.id);
    Ok(deleted("webhook_endpoint", &call.id))
}
