//! Collecting what a customer owes with a payment method that has not been tried yet.

use billing::{InvoiceId, SubscriptionId};
use stripe_billing::invoice::PayInvoice;
use stripe_billing::subscription::{ResumeSubscription, ResumeSubscriptionPaymentBehavior};

use super::gateway::Gateway;
use super::gateway_error::GatewayError;

impl Gateway {
    /// Pays an open invoice with a payment method.
    pub async fn pay_invoice(&self, invoice: &InvoiceId, method: &str, key: &str) -> Result<(), GatewayError> {
        let request = PayInvoice::new(invoice.as_str()).payment_method(method);
        self.send(&request, Some(key)).await.map(drop)
    }

    /// Resumes a paused subscription, which charges its current payment method. It stays paused if the charge
    /// fails.
    pub async fn resume_subscription(&self, id: &SubscriptionId, key: &str) -> Result<(), GatewayError> {
        let behavior = ResumeSubscriptionPaymentBehavior::ResumeOnPaymentSuccess;
        let request = ResumeSubscription::new(id.as_str()).payment_behavior(behavior);
        self.send(&request, Some(key)).await.map(drop)
    }
}
