//! An invoice and its due date.

use crate::ids::{CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};
use crate::money::Money;
use crate::stripe_enum::stripe_enum;
use crate::time::Timestamp;

stripe_enum! {
    /// The status of an invoice (Stripe API, "The Invoice object").
    InvoiceStatus {
        /// Not finalized yet.
        Draft = "draft",
        /// Finalized and unpaid.
        Open = "open",
        /// Paid, or nothing was due.
        Paid = "paid",
        /// Voided: it no longer has to be paid.
        Void = "void",
        /// Written off: payment is no longer expected.
        Uncollectible = "uncollectible",
    }
}

/// An invoice as Stripe last reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Stripe's `in_…`.
    pub id: InvoiceId,
    /// The customer it is billed to.
    pub customer: CustomerId,
    /// The subscription it is for; `None` for a one-off invoice.
    pub subscription: Option<SubscriptionId>,
    /// The invoice number; `None` for a draft.
    pub number: Option<String>,
    /// The status Stripe last reported.
    pub status: InvoiceStatus,
    /// Stripe's `billing_reason`.
    pub reason: Option<String>,
    /// The total; negative for a credit.
    pub total: Money,
    /// The amount to pay, after credits and credit notes.
    pub amount_due: i64,
    /// The amount paid so far.
    pub amount_paid: i64,
    /// The amount still unpaid.
    pub amount_remaining: i64,
    /// The total of the credit notes that reduced the amount to pay.
    pub credited_before_payment: i64,
    /// The total of the credit notes for what was already paid.
    pub credited_after_payment: i64,
    /// The end of the period that its lines bill.
    pub period_end: Option<Timestamp>,
    /// When Stripe created it.
    pub created: Timestamp,
    /// When it was finalized.
    pub finalized_at: Option<Timestamp>,
    /// When payment is due, if the invoice is sent to the customer instead of charged automatically.
    pub due_date: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// When Stripe retries the payment.
    pub next_payment_attempt: Option<Timestamp>,
    /// How many times payment was attempted.
    pub attempt_count: i64,
    /// The PaymentIntents for this invoice.
    pub payments: Vec<PaymentIntentId>,
}

impl Invoice {
    /// Returns the total of its credit notes.
    pub const fn credited(&self) -> i64 {
        self.credited_before_payment.saturating_add(self.credited_after_payment)
    }

    /// Returns when the invoice became due, which is when a delinquency starts. Retries do not move it.
    pub fn owed_since(&self) -> Timestamp {
        self.due_date.or(self.finalized_at).unwrap_or(self.created)
    }
}
