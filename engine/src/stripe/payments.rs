//! Invoices, payments and disputes.

use std::collections::HashMap;

use billing::ledger::{Dispute, Invoice, Payment};
use billing::{InvoiceId, Item, PaymentIntentId, PriceId, SubscriptionId, Timestamp};
use serde_json::Value;
use stripe_billing::invoice::{ListInvoice, RetrieveInvoice};
use stripe_billing::invoice_payment::{ListInvoicePayment, ListInvoicePaymentPayment, ListInvoicePaymentPaymentType};
use stripe_core::dispute::ListDispute;
use stripe_core::payment_intent::RetrievePaymentIntent;
use stripe_shared::InvoiceStatus;

use super::gateway::{Gateway, Listed, PAGE};
use super::gateway_error::GatewayError;
use super::objects::{self, Named, PaidLine};

/// The number of paid invoices that are searched for one that paid for a plan; others may be for usage only.
const PAID_INVOICES: i64 = 10;

/// The addresses of an invoice in Stripe; a draft has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceAddresses {
    /// Stripe's page, where it can be paid.
    pub page: Option<String>,
    /// The invoice as a PDF.
    pub pdf: Option<String>,
}

impl Gateway {
    /// Reads an invoice, with the ids of its payments.
    pub async fn invoice(&self, id: &InvoiceId) -> Result<Named<Invoice>, GatewayError> {
        let response = self.send(&RetrieveInvoice::new(id.as_str()).expand(vec!["payments".to_owned()]), None).await?;
        Ok(objects::invoice(&response)?)
    }

    /// Reads the addresses of an invoice. They expire, so they are read when needed.
    pub async fn invoice_addresses(&self, id: &InvoiceId) -> Result<InvoiceAddresses, GatewayError> {
        let response = self.send(&RetrieveInvoice::new(id.as_str()), None).await?;
        let address = |pointer| objects::text(&response, pointer).map(str::to_owned);
        Ok(InvoiceAddresses { page: address("/hosted_invoice_url"), pdf: address("/invoice_pdf") })
    }

    /// Returns the open invoices of a subscription, oldest first, and the time since which the first of them
    /// has been due.
    pub(super) async fn owed(&self, id: &SubscriptionId) -> Result<(Vec<InvoiceId>, Option<Timestamp>), GatewayError> {
        let (mut open, mut oldest): (Vec<InvoiceId>, Option<Timestamp>) = (Vec::new(), None);
        let mut after: Option<String> = None;
        loop {
            let mut request = ListInvoice::new().subscription(id.as_str()).status(InvoiceStatus::Open).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            let page = Listed::read(&self.send(&request, None).await?, objects::invoice)?;
            oldest = page.data.iter().map(|invoice| invoice.object.owed_since()).chain(oldest).min();
            open.extend(page.data.into_iter().map(|invoice| invoice.object.id));
            match page.next {
                Some(next) => after = Some(next),
                None => {
                    open.reverse();
                    return Ok((open, oldest));
                }
            }
        }
    }

    /// Reads the lines of the last paid invoices of a subscription, newest first. Lines have only the id of a
    /// price: `items` are prices whose lookup keys are known.
    pub(super) async fn paid_lines(
        &self,
        id: &SubscriptionId,
        items: &[Item],
    ) -> Result<Vec<Vec<PaidLine>>, GatewayError> {
        let request = ListInvoice::new().subscription(id.as_str()).status(InvoiceStatus::Paid).limit(PAID_INVOICES);
        let invoices = self.send(&request, None).await?;
        let mut paid = Listed::read(&invoices, |invoice| Ok(objects::paid_lines(invoice)))?.data;
        let known = items.iter().map(|item| (item.price.clone(), item.lookup_key.clone()));
        let mut keys: HashMap<PriceId, Option<String>> = known.collect();
        for line in paid.iter_mut().flatten().filter(|line| line.lookup_key.is_none()) {
            if !keys.contains_key(&line.price) {
                keys.insert(line.price.clone(), self.lookup_key(&line.price).await?);
            }
            line.lookup_key = keys.get(&line.price).cloned().flatten();
        }
        Ok(paid)
    }

    /// Reads a payment with its latest charge, refunds and disputes.
    pub async fn payment(&self, id: &PaymentIntentId) -> Result<Named<Payment>, GatewayError> {
        let expand = ["latest_charge", "latest_charge.refunds"].map(str::to_owned).to_vec();
        let response: Value = self.send(&RetrievePaymentIntent::new(id.as_str()).expand(expand), None).await?;
        let mut payment = objects::payment(&response)?;
        if payment.object.is_disputed {
            payment.object.disputes = self.disputes_of(id).await?;
        }
        Ok(payment)
    }

    /// Returns the invoices that a payment pays. There is one at most, except in unusual data.
    pub async fn invoices_of(&self, id: &PaymentIntentId) -> Result<Vec<InvoiceId>, GatewayError> {
        let mut payment = ListInvoicePaymentPayment::new(ListInvoicePaymentPaymentType::PaymentIntent);
        payment.payment_intent = Some(id.to_string());
        let response = self.send(&ListInvoicePayment::new().payment(payment).limit(PAGE), None).await?;
        let page = Listed::read(&response, |payment| Ok(objects::id_of(payment, "/invoice")))?;
        Ok(page.data.into_iter().flatten().map(InvoiceId::new).collect())
    }

    async fn disputes_of(&self, id: &PaymentIntentId) -> Result<Vec<Dispute>, GatewayError> {
        let request = ListDispute::new().payment_intent(id.as_str()).limit(PAGE);
        // A charge has a few disputes at most, so one page is enough.
        let mut disputes = Listed::read(&self.send(&request, None).await?, objects::dispute)?.data;
        disputes.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(disputes)
    }
}
