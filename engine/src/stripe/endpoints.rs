//! Webhook endpoints in Stripe: created by code, with the engine's API version and every event that it
//! handles.

use serde::Serialize;
use serde_json::Value;
use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, Raw, api_version};
use super::gateway_error::GatewayError;
use super::objects::{ObjectError, text};

/// A webhook endpoint in Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `we_…`.
    pub id: String,
    /// The address that events are sent to.
    pub url: String,
    /// The API version of its events; `None` is the account's default.
    pub api_version: Option<String>,
    /// The event types that it receives; `*` is all of them.
    pub events: Vec<String>,
    /// Whether it is enabled.
    pub is_enabled: bool,
}

impl Endpoint {
    /// Returns the types in `wanted` that it does not receive.
    pub fn missing<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        if self.events.iter().any(|event| event == "*") {
            return Vec::new();
        }
        wanted.iter().copied().filter(|wanted| !self.events.iter().any(|event| event == wanted)).collect()
    }
}

/// A newly created endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// The endpoint as it was created.
    pub endpoint: Endpoint,
    /// Its signing secret, which Stripe shows only now.
    pub secret: String,
}

#[derive(Serialize)]
struct Create<'a> {
    url: &'a str,
    api_version: &'a str,
    description: &'a str,
    enabled_events: &'a [&'a str],
}

#[derive(Serialize)]
struct Update<'a> {
    enabled_events: &'a [&'a str],
    disabled: bool,
}

impl Gateway {
    /// Finds the endpoint with this address.
    pub async fn webhook_endpoint(&self, url: &str) -> Result<Option<Endpoint>, GatewayError> {
        // Stripe allows sixteen endpoints, so one page holds them all.
        let path = "/webhook_endpoints?limit=100".to_owned();
        let list = self.send(&Raw::<()> { method: StripeMethod::Get, path, form: None }, None).await?;
        let all =
            list.pointer("/data").and_then(Value::as_array).ok_or(ObjectError { object: "list", field: "data" })?;
        all.iter()
            .filter(|endpoint| text(endpoint, "/url") == Some(url))
            .map(read)
            .next()
            .transpose()
            .map_err(Into::into)
    }

    /// Creates an endpoint for `events`.
    pub async fn create_webhook_endpoint(&self, url: &str, events: &[&str]) -> Result<NewEndpoint, GatewayError> {
        let form = Create { url, api_version: api_version(), description: "Tollgate", enabled_events: events };
        let path = "/webhook_endpoints".to_owned();
        let created = self.send(&Raw { method: StripeMethod::Post, path, form: Some(&form) }, None).await?;
        let secret = text(&created, "/secret").ok_or(ObjectError { object: "webhook_endpoint", field: "secret" })?;
        Ok(NewEndpoint { endpoint: read(&created)?, secret: secret.to_owned() })
    }

    /// Enables an endpoint for exactly `events`.
    pub async fn update_webhook_endpoint(&self, id: &str, events: &[&str]) -> Result<Endpoint, GatewayError> {
        let form = Update { enabled_events: events, disabled: false };
        let path = format!("/webhook_endpoints/{id}");
        let updated = self.send(&Raw { method: StripeMethod::Post, path, form: Some(&form) }, None).await?;
        Ok(read(&updated)?)
    }
}

fn read(value: &Value) -> Result<Endpoint, ObjectError> {
    let missing = |field| ObjectError { object: "webhook_endpoint", field };
    let events = value.pointer("/enabled_events").and_then(Value::as_array).ok_or_else(|| missing("enabled_events"))?;
    Ok(Endpoint {
        id: text(value, "/id").ok_or_else(|| missing("id"))?.to_owned(),
        url: text(value, "/url").ok_or_else(|| missing("url"))?.to_owned(),
        api_version: text(value, "/api_version").map(str::to_owned),
        events: events.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        is_enabled: text(value, "/status") != Some("disabled"),
    })
}
