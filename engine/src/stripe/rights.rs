//! What the API key may do, tried without effect.
//!
//! Lists are read with one object each, with the expansions that the engine asks for. Writes name objects that
//! do not exist, which Stripe reports only to a key that may write them (Stripe docs, "Restricted API keys").

use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, Raw};
use super::gateway_error::GatewayError;

/// A right that the engine needs.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// Its name in Stripe's Dashboard.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: Purpose,
    method: StripeMethod,
    path: &'static str,
}

/// What a right is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The server.
    Server,
    /// The server, if a plan bills usage.
    BilledUsage,
    /// The commands that set up Stripe: `catalog apply` and `webhook register`.
    SetUp,
}

const fn read(name: &'static str, purpose: Purpose, path: &'static str) -> Right {
    Right { name, purpose, method: StripeMethod::Get, path }
}

const fn write(name: &'static str, purpose: Purpose, path: &'static str) -> Right {
    Right { name, purpose, method: StripeMethod::Post, path }
}

/// Every right that the engine needs.
pub const RIGHTS: &[Right] = &[
    read("Charges: Read", Purpose::Server, "/payment_intents?limit=1&expand[]=data.latest_charge"),
    read("Checkout Sessions: Read", Purpose::Server, "/checkout/sessions?limit=1"),
    write("Checkout Sessions: Write", Purpose::Server, "/checkout/sessions/cs_test_tollgate_doctor/expire"),
    read("Customers: Read", Purpose::Server, "/customers?limit=1"),
    write("Customers: Write", Purpose::Server, "/customers/cus_tollgate_doctor"),
    read("Customer portal: Read", Purpose::Server, "/billing_portal/configurations?limit=1"),
    write("Customer portal: Write", Purpose::Server, "/billing_portal/configurations/bpc_tollgate_doctor"),
    read("Disputes: Read", Purpose::Server, "/disputes?limit=1"),
    read("Events: Read", Purpose::Server, "/events?limit=1"),
    read("Invoices: Read", Purpose::Server, "/invoices?limit=1&expand[]=data.payments"),
    write("Invoices: Write", Purpose::Server, "/invoices/in_tollgate_doctor"),
    write("Invoices: Write", Purpose::Server, "/invoices/in_tollgate_doctor"),
    read("PaymentIntents: Read", Purpose::Server, "/payment_intents?limit=1"),
    read("PaymentMethods: Read", Purpose::Server, "/subscriptions?limit=1&expand[]=data.default_payment_method"),
    read("Prices: Read", Purpose::Server, "/prices?limit=1"),
    read("Subscriptions: Read", Purpose::Server, "/subscriptions?limit=1&expand[]=data.latest_invoice"),
    write("Subscriptions: Write", Purpose::Server, "/subscriptions/sub_tollgate_doctor"),
    read("Meters: Read", Purpose::BilledUsage, "/billing/meters?limit=1"),
    write("Meter events: Write", Purpose::BilledUsage, "/billing/meter_events"),
    write("Prices: Write", Purpose::SetUp, "/prices/price_tollgate_doctor"),
    read("Products: Read", Purpose::SetUp, "/products?limit=1"),
    write("Products: Write", Purpose::SetUp, "/products/tollgate_doctor"),
    read("Webhook endpoints: Read", Purpose::SetUp, "/webhook_endpoints?limit=1"),
    write("Webhook endpoints: Write", Purpose::SetUp, "/webhook_endpoints/we_tollgate_doctor"),
];

impl Gateway {
    /// Whether the API key has a right.
    ///
    /// # Errors
    /// Stripe did not say: it is unavailable, or rejects the key.
    pub async fn has_right(&self, right: &Right) -> Result<bool, GatewayError> {
        let request = Raw::<()> { method: right.method, path: right.path.to_owned(), form: None };
        match self.send(&request, None).await {
            Err(GatewayError::Rejected { status: 403, .. }) => Ok(false),
            Err(error) if !error.concerns_one_object() => Err(error),
            Ok(_) | Err(_) => Ok(true),
        }
    }
}
