//! A customer with a subscription, created in the sandbox through Stripe's API.

use anyhow::Context;
use serde_json::Value;

/// The ids of a subscribed customer.
pub struct Subscriber {
    pub customer: String,
    pub subscription: String,
    pub price: String,
}

impl Subscriber {
    /// Creates a customer with a subscription to the highest plan.
    pub async fn create(stripe: &str) -> anyhow::Result<Self> {
        let price = [
            ("currency", "usd"),
            ("unit_amount", "19900"),
            ("lookup_key", "tollgate_enterprise_month"),
            ("recurring[interval]", "month"),
            ("product_data[name]", "Enterprise"),
        ];
        Self::with_price(stripe, &post(stripe, "/v1/prices", &price).await?).await
    }

    /// Creates a customer with a subscription to this price.
    pub async fn with_price(stripe: &str, price: &str) -> anyhow::Result<Self> {
        let customer = post(stripe, "/v1/customers", &[("email", "user0@example.com")]).await?;
        let card = post(stripe, "/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await?;
        post(stripe, &format!("/v1/payment_methods/{card}/attach"), &[("customer", &customer)]).await?;
        let fields = [("customer", customer.as_str()), ("items[0][price]", price), ("default_payment_method", &card)];
        let subscription = post(stripe, "/v1/subscriptions", &fields).await?;
        Ok(Self { customer, subscription, price: price.to_owned() })
    }

    /// Schedules or undoes the cancellation of the subscription.
    pub async fn cancel_at_period_end(&self, stripe: &str, cancel: bool) -> anyhow::Result<()> {
        let path = format!("/v1/subscriptions/{}", self.subscription);
        post(stripe, &path, &[("cancel_at_period_end", if cancel { "true" } else { "false" })]).await.map(drop)
    }
}

/// Sends a POST request and returns the id of the object in the response.
async fn post(stripe: &str, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
    let client = reqwest::Client::new();
    let response = client.post(format!("{stripe}{path}")).bearer_auth("sk_test_sandbox").form(fields).send().await?;
    let body: Value = response.json().await?;
    body["id"].as_str().map(str::to_owned).with_context(|| format!("{path}: {body}"))
}
