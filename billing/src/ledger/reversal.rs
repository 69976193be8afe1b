//! Payments of subscriptions that were disputed or refunded in full.

use serde::{Deserialize, Serialize};

use crate::ids::InvoiceId;
use crate::ledger::dispute::DisputeStatus;
use crate::ledger::invoice::{Invoice, InvoiceStatus};
use crate::ledger::payment::{Payment, PaymentStatus};
use crate::time::Timestamp;

/// What happened to the payment of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReversalKind {
    /// It is disputed, and the bank holds the money until it decides.
    Disputed,
    /// The bank has decided for the customer.
    DisputeLost,
    /// It was refunded in full.
    Refunded,
}

/// A paid invoice whose payment was disputed or refunded in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// The invoice.
    pub invoice: InvoiceId,
    /// When the invoice was created.
    pub created: Timestamp,
    /// The end of the period that the invoice pays for.
    pub until: Timestamp,
    /// What happened to its payment.
    pub kind: ReversalKind,
}

impl Reversal {
    /// Returns the reversals of an invoice that is paid by `payments`: none, a dispute, a full refund, or both.
    pub fn of(invoice: &Invoice, payments: &[&Payment]) -> Vec<Self> {
        if invoice.status != InvoiceStatus::Paid {
            return Vec::new();
        }
        let disputes = || payments.iter().flat_map(|payment| &payment.disputes).map(|dispute| &dispute.status);
        let disputed = if disputes().any(DisputeStatus::is_open) {
            Some(ReversalKind::Disputed)
        } else if disputes().any(|status| *status == DisputeStatus::Lost) {
            Some(ReversalKind::DisputeLost)
        } else {
            None
        };
        let paid = payments.iter().filter(|payment| payment.status == PaymentStatus::Succeeded);
        let (paid, refunded) = paid.fold((0_i64, 0_i64), |(paid, refunded), payment| {
            (paid.saturating_add(payment.amount.minor), refunded.saturating_add(payment.amount_refunded))
        });
        let refunded = (refunded > 0 && refunded >= paid).then_some(ReversalKind::Refunded);
        let reversal = |kind| Self {
            invoice: invoice.id.clone(),
            created: invoice.created,
            until: invoice.period_end.unwrap_or(invoice.created),
            kind,
        };
        disputed.into_iter().chain(refunded).map(reversal).collect()
    }
}
