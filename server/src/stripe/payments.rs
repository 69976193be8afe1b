//! Invoices, payments and disputes.

use billing::ledger::{Dispute, Invoice, Payment};
use billing::{InvoiceId, PaymentIntentId, SubscriptionId, Timestamp};
use serde_json::Value;
use stripe_billing::invoice::{ListInvoice, RetrieveInvoice};
use stripe_core::dispute::ListDispute;
use stripe_core::payment_intent::RetrievePaymentIntent;
use stripe_shared::InvoiceStatus;

use super::PAGE;
use super::gateway::{Gateway, GatewayError, Page};
use super::shape::{self, Named};

impl Gateway {
    /// An invoice as it is now, with the ids of its payments.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn invoice(&self, id: &InvoiceId) -> Result<Named<Invoice>, GatewayError> {
        let answer = self.send(&RetrieveInvoice::new(id.as_str()).expand(vec!["payments".to_owned()]), None).await?;
        Ok(shape::invoice(&answer)?)
    }

    /// Where an invoice can be seen and paid, and its PDF. Both addresses run out, so they are asked
    /// for when they are wanted.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn invoice_addresses(&self, id: &InvoiceId) -> Result<(Option<String>, Option<String>), GatewayError> {
        let answer = self.send(&RetrieveInvoice::new(id.as_str()), None).await?;
        let address = |pointer| shape::text(&answer, pointer).map(str::to_owned);
        Ok((address("/hosted_invoice_url"), address("/invoice_pdf")))
    }

    /// Since when the oldest open invoice of a subscription is owed.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub(super) async fn owed_since(&self, id: &SubscriptionId) -> Result<Option<Timestamp>, GatewayError> {
        let mut oldest: Option<Timestamp> = None;
        let mut after: Option<String> = None;
        loop {
            let mut request = ListInvoice::new().subscription(id.as_str()).status(InvoiceStatus::Open).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            let page = Page::read(&self.send(&request, None).await?, shape::invoice)?;
            oldest = page.data.iter().map(|invoice| invoice.object.owed_since()).chain(oldest).min();
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(oldest),
            }
        }
    }

    /// A payment as it is now, with its latest charge, refunds and disputes.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn payment(&self, id: &PaymentIntentId) -> Result<Named<Payment>, GatewayError> {
        let expand = ["latest_charge", "latest_charge.refunds"].map(str::to_owned).to_vec();
        let answer: Value = self.send(&RetrievePaymentIntent::new(id.as_str()).expand(expand), None).await?;
        let mut payment = shape::payment(&answer)?;
        if payment.object.is_disputed {
            payment.object.disputes = self.disputes_of(id).await?;
        }
        Ok(payment)
    }

    async fn disputes_of(&self, id: &PaymentIntentId) -> Result<Vec<Dispute>, GatewayError> {
        let request = ListDispute::new().payment_intent(id.as_str()).limit(PAGE);
        // A charge is disputed a few times at most: one page holds them all.
        let mut disputes = Page::read(&self.send(&request, None).await?, shape::dispute)?.data;
        disputes.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(disputes)
    }
}
