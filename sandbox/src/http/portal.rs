//! `/v1/billing_portal`: configurations and sessions of the customer portal.
//!
//! Invariant: a session's configuration was active when the session was created.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::http::call::{Call, Route, route};
use crate::http::list::{matches_filters, page};
use crate::objects::{self, Price, Subscription, SubscriptionStatus};
use crate::origins::HostedPage;
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

/// Checks that a configuration is complete.
fn check(tx: &Tx<'_>, configuration: &Value) -> Result<(), ApiError> {
    let change = &configuration["features"]["subscription_update"];
    if change.flag("enabled") && change.list("products").is_empty() {
        let param = "features[subscription_update][products]";
        return Err(ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(param));
    }
    for price in change.list("products").iter().flat_map(|product| product.list("prices")) {
        let id = price.as_str().unwrap_or_default();
        tx.read_param::<Price>(id, "features[subscription_update][products]")?;
    }
    Ok(())
}

fn configure(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut configuration = objects::portal_configuration(tx.now());
    apply(&mut configuration, &call.params);
    check(tx, &configuration)?;
    tx.create("billing_portal.configuration.created", &configuration);
    Ok(configuration)
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let all = tx.newest(CONFIGURATION);
    page(call, all.filter(|found| matches_filters(call, found, &["active", "is_default"])))
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut changed = tx.find(CONFIGURATION, &call.id)?;
    apply(&mut changed, &call.params);
    check(tx, &changed)?;
    let now = tx.now();
    tx.change(&call.id, "billing_portal.configuration.updated", |configuration| {
        apply(configuration, &call.params);
        configuration.set("updated", now);
    })
}

/// Creates a portal session. Configurations created with the API are never the default, so a session has
/// to specify one.
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
    let mut session = objects::portal_session(&customer.id, id, tx.now());
    let url = format!("{}/p/session/{}", HostedPage::Billing.base(tx), session.text("id"));
    session.set("url", url);
    session.set("return_url", json!(back));
    copy(&mut session, params, &["locale"]);
    if let Some(data) = params.get("flow_data") {
        session.set("flow", flow(tx, data, &customer.id, &configuration)?);
    }
    tx.create("billing_portal.session.created", &session);
    Ok(session)
}

/// Reads a deep link into the portal: one task, and the redirect afterwards.
fn flow(tx: &Tx<'_>, data: &Value, customer: &str, configuration: &Value) -> Result<Value, ApiError> {
    let kind = data.text("type");
    let feature = match kind {
        "subscription_update_confirm" => "subscription_update",
        kind => kind,
    };
    if !configuration["features"][feature].flag("enabled") {
        let message =
            format!("The flow `{kind}` needs the feature `{feature}`, which is disabled in the configuration.");
        return Err(ApiError::invalid("", message).on("flow_data[type]"));
    }
    if kind != "payment_method_update" {
        let param = format!("flow_data[{kind}][subscription]");
        let id = data[kind].some("subscription").ok_or_else(|| {
            ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(&param)
        })?;
        let subscription: Subscription = tx.read_param(id, &param)?;
        if subscription.customer != customer || subscription.status == SubscriptionStatus::Canceled {
            return Err(ApiError::missing_param("subscription", id, &param));
        }
        if kind == "subscription_cancel" && subscription.cancel_at.is_some() {
            let message = "This subscription is already set to be canceled.";
            return Err(ApiError::invalid("", message).on(&param));
        }
    }
    let after = &data["after_completion"];
    let shown = |of: &str| Some(data[of].clone()).filter(|_| of == kind);
    Ok(json!({
        "after_completion": {
            "hosted_confirmation": after["hosted_confirmation"],
            "redirect": after["redirect"],
            "type": after.some("type").unwrap_or("portal_homepage"),
        },
        "subscription_cancel": shown("subscription_cancel"),
        "subscription_update": shown("subscription_update"),
        "subscription_update_confirm": shown("subscription_update_confirm"),
        "type": kind,
    }))
}
