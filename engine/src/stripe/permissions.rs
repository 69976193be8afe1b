//! Checks the permissions of the API key without side effects.
//!
//! Lists are read with one object each, with the expansions that the engine asks for. Writes name objects that
//! do not exist, which Stripe reports only to a key that may write them (Stripe docs, "Restricted API keys").

use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, Raw};
use super::gateway_error::GatewayError;

/// A permission that the engine needs.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Its name in Stripe's Dashboard.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: Purpose,
    method: StripeMethod,
    path: &'static str,
}

/// What a permission is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The server.
    Server,
    /// The server, if a plan bills usage.
    BilledUsage,
    /// The commands that set up Stripe: `catalog apply` and `webhook register`.
    SetUp,
    /// `catalog apply`, if a plan bills usage.
    SetUpBilledUsage,
}

const fn read(name: &'static str, purpose: Purpose, path: &'static str) -> Permission {
    Permission { name, purpose, method: StripeMethod::Get, path }
}

const fn write(name: &'static str, purpose: Purpose, path: &'static str) -> Permission {
    Permission { name, purpose, method: StripeMethod::Post, path }
}

/// Every permission that the engine needs.
pub const PERMISSIONS: &[Permission] = &[
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
    read("PaymentIntents: Read", Purpose::Server, "/payment_intents?limit=1"),
    read("PaymentMethods: Read", Purpose::Server, "/subscriptions?limit=1&expand[]=data.default_payment_method"),
    read("Prices: Read", Purpose::Server, "/prices?limit=1"),
    read("Subscriptions: Read", Purpose::Server, "/subscriptions?limit=1&expand[]=data.latest_invoice"),
    write("Subscriptions: Write", Purpose::Server, "/subscriptions/sub_tollgate_doctor"),
    read("Meters: Read", Purpose::BilledUsage, "/billing/meters?limit=1"),
    write("Meter events: Write", Purpose::BilledUsage, "/billing/meter_events"),
    write("Meters: Write", Purpose::SetUpBilledUsage, "/billing/meters/mtr_tollgate_doctor"),
    write("Prices: Write", Purpose::SetUp, "/prices/price_tollgate_doctor"),
    read("Products: Read", Purpose::SetUp, "/products?limit=1"),
    write("Products: Write", Purpose::SetUp, "/products/tollgate_doctor"),
    read("Webhook endpoints: Read", Purpose::SetUp, "/webhook_endpoints?limit=1"),
    write("Webhook endpoints: Write", Purpose::SetUp, "/webhook_endpoints/we_tollgate_doctor"),
];

impl Purpose {
    /// Returns whether the server needs it.
    pub const fn is_of_server(self) -> bool {
        matches!(self, Self::Server | Self::BilledUsage)
    }

    /// Returns whether it is needed only if a plan bills usage.
    pub const fn is_of_billed_usage(self) -> bool {
        matches!(self, Self::BilledUsage | Self::SetUpBilledUsage)
    }
}

impl Gateway {
    /// Returns whether the API key has a permission.
    ///
    /// # Errors If Stripe is unavailable or rejects the key.
    pub async fn has_permission(&self, permission: &Permission) -> Result<bool, GatewayError> {
        let request = Raw::<()> { method: permission.method, path: permission.path.to_owned(), form: None };
        match self.send(&request, None).await {
            Err(GatewayError::Rejected { status: 403, .. }) => Ok(false),
            Err(error) if !error.concerns_one_object() => Err(error),
            Ok(_) | Err(_) => Ok(true),
        }
    }
}
