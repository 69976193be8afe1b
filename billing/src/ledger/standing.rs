//! The state of an invoice after credit notes, refunds and disputes.

use crate::ledger::invoice::{Invoice, InvoiceStatus};
use crate::ledger::payment::Payment;
use crate::money::Money;

/// The state of an invoice, given its payments, where it differs from the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceState {
    /// As the status says.
    AsStatus,
    /// The bank is working on the payment.
    Pending,
    /// A bank holds or has kept the payment because of a dispute.
    Disputed,
    /// The payment was refunded in full.
    Refunded,
    /// A part of the payment was refunded.
    PartlyRefunded,
    /// Credit notes cover all of it.
    Credited,
}

/// The state of an invoice, and its sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceStanding {
    /// The state.
    pub state: InvoiceState,
    /// The total of its credit notes.
    pub credited: Money,
    /// The refunded amount.
    pub refunded: Money,
    /// The amount that banks hold or have kept because of disputes.
    pub disputed: Money,
    /// The amount still to be paid.
    pub due: Money,
}

impl InvoiceStanding {
    /// Returns the standing of an invoice with these payments.
    pub fn of(invoice: &Invoice, payments: &[&Payment]) -> Self {
        let sum = |amount: fn(&Payment) -> i64| {
            payments.iter().map(|payment| amount(payment)).fold(0_i64, i64::saturating_add)
        };
        let refunded = sum(|payment| payment.amount_refunded);
        let disputed = sum(Payment::amount_disputed);
        let (credited, is_open) = (invoice.credited(), invoice.status == InvoiceStatus::Open);
        let state = if disputed > 0 {
            InvoiceState::Disputed
        } else if refunded > 0 && refunded >= invoice.amount_paid {
            InvoiceState::Refunded
        } else if refunded > 0 {
            InvoiceState::PartlyRefunded
        } else if invoice.status == InvoiceStatus::Paid && credited > 0 && credited >= invoice.total.minor {
            InvoiceState::Credited
        } else if is_open && payments.iter().any(|payment| payment.is_pending()) {
            InvoiceState::Pending
        } else {
            InvoiceState::AsStatus
        };
        let money = |minor| Money::new(minor, invoice.total.currency.clone());
        Self {
            state,
            credited: money(credited),
            refunded: money(refunded),
            disputed: money(disputed),
            due: money(if is_open { invoice.amount_remaining } else { 0 }),
        }
    }
}
