//! Collecting what a customer owes with a payment method that has not been tried yet.

use billing::{CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};
use serde_json::Value;
use stripe_billing::invoice::PayInvoice;
use stripe_billing::subscription::{ResumeSubscription, ResumeSubscriptionPaymentBehavior};
use stripe_core::customer::RetrieveCustomer;
use stripe_core::payment_intent::RetrievePaymentIntent;

use super::gateway::Gateway;
use super::gateway_error::GatewayError;
use super::objects::{self, text};

/// The last attempt to pay an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// The payment method; `None` if there was no attempt.
    pub method: Option<String>,
    /// Whether it is undecided: the bank is working on it, or the customer has to confirm it.
    pub is_pending: bool,
}

impl Gateway {
    /// The payment method that a customer's invoices are charged to.
    pub async fn default_method(&self, customer: &CustomerId) -> Result<Option<String>, GatewayError> {
        let response = self.send(&RetrieveCustomer::new(customer.as_str()), None).await?;
        Ok(objects::id_of(&response, "/invoice_settings/default_payment_method"))
    }

    /// The last attempt of a payment.
    pub async fn last_attempt(&self, payment: &PaymentIntentId) -> Result<LastAttempt, GatewayError> {
        let expand = vec!["latest_charge".to_owned()];
        let payment: Value = self.send(&RetrievePaymentIntent::new(payment.as_str()).expand(expand), None).await?;
        // A declined payment has its method only in the error or on its charge.
        let places = ["/payment_method", "/last_payment_error/payment_method", "/latest_charge/payment_method"];
        Ok(LastAttempt {
            method: places.iter().find_map(|place| objects::id_of(&payment, place)),
            is_pending: matches!(
                text(&payment, "/status"),
                Some("processing" | "requires_action" | "requires_capture")
            ),
        })
    }

    /// Pays an open invoice with a payment method, at most once with each.
    pub async fn pay_invoice(&self, invoice: &InvoiceId, method: &str) -> Result<(), GatewayError> {
        let request = PayInvoice::new(invoice.as_str()).payment_method(method);
        self.send(&request, Some(&format!("pay:{invoice}:{method}"))).await.map(drop)
    }

    /// Resumes a paused subscription, which charges `method`, its current payment method. It stays paused if
    /// the charge fails.
    pub async fn resume_subscription(&self, id: &SubscriptionId, method: &str) -> Result<(), GatewayError> {
        let behavior = ResumeSubscriptionPaymentBehavior::ResumeOnPaymentSuccess;
        let request = ResumeSubscription::new(id.as_str()).payment_behavior(behavior);
        self.send(&request, Some(&format!("resume:{id}:{method}"))).await.map(drop)
    }
}
