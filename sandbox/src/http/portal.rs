//! `/v1/billing_portal`: what the customer portal offers, and the links that open it.
//!
//! Invariant: a session always names a configuration that was active when it was made.

use serde_json::{Value, json};

use super::{Call, Route, matches_filters, page, route};
use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::objects;
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/billing_portal/configurations", configure),
    route("GET /v1/billing_portal/configurations", list),
    route("GET /v1/billing_portal/configurations/:id", |tx, call| tx.find(CONFIGURATION, &call.id)),
    route("POST /v1/billing_portal/configurations/:id", update),
    route("POST /v1/billing_portal/sessions", open),
];

const CONFIGURATION: &str = "billing_portal.configuration";

fn apply(configuration: &mut Value, params: &Value) {
    copy(configuration, params, &["active", "default_return_url", "name"]);
    merge_metadata(configuration, params);
    for group in ["business_profile", "features"] {
        let Some(Value::Object(sent)) = params.get(group) else {
            continue;
        };
        for (key, value) in sent {
            let fields: Vec<&str> = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            match fields.is_empty() {
                true => copy(&mut configuration[group], &params[group], &[key]),
                false => copy(&mut configuration[group][key], value, &fields),
            }
        }
    }
}

fn configure(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut configuration = objects::portal_configuration(tx.now());
    apply(&mut configuration, &call.params);
    tx.create("billing_portal.configuration.created", &configuration);
    Ok(configuration)
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let all = tx.newest(CONFIGURATION);
    page(call, all.filter(|found| matches_filters(call, found, &["active", "is_default"])))
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find(CONFIGURATION, &call.id)?;
    let now = tx.now();
    tx.change(&call.id, "billing_portal.configuration.updated", |configuration| {
        apply(configuration, &call.params);
        configuration.set("updated", now);
    })
}

/// A link to the portal. Configurations made over the API are never Stripe's default one, so
/// a session has to name its own.
fn open(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let customer = tx.customer(params.text("customer"))?;
    let id = params.some("configuration").ok_or_else(|| {
        let message = "No configuration provided and your test mode default configuration has not been created. Provide a configuration or create your default by saving your customer portal settings in test mode.";
        ApiError::invalid("", message)
    })?;
    let configuration = tx.named(CONFIGURATION, id, "configuration")?;
    if !configuration.flag("active") {
        let message = format!("The configuration {id} is not active and cannot be used.");
        return Err(ApiError::invalid("", message).on("configuration"));
    }
    let back = params.some("return_url").or(configuration.some("default_return_url"));
    if let Some(url) = back.filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        let message = format!("Not a valid URL: {url}");
        return Err(ApiError::invalid("url_invalid", message).on("return_url"));
    }
    let mut session = objects::portal_session(customer.text("id"), id, tx.now());
    let url = format!("{}/p/session/{}", tx.origin.base, session.text("id"));
    session.set("url", url);
    session.set("return_url", json!(back));
    copy(&mut session, params, &["locale"]);
    tx.create("billing_portal.session.created", &session);
    Ok(session)
}
