//! What became of an invoice: its state and sums after credit notes, refunds and disputes.

mod support;

use billing::ledger::{
    Invoice, InvoiceStanding, InvoiceState, InvoiceStatus, Payment, PaymentStatus, Reversal, ReversalKind,
};
use billing::{CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};
use proptest::prelude::*;
use support::{CREATED, dispute, payment, usd};

/// An invoice of 29 dollars, paid for a month.
fn paid() -> Invoice {
    Invoice {
        id: InvoiceId::new("in_1"),
        customer: CustomerId::new("cus_1"),
        subscription: Some(SubscriptionId::new("sub_1")),
        number: None,
        status: InvoiceStatus::Paid,
        reason: None,
        total: usd(2_900),
        amount_due: 2_900,
        amount_paid: 2_900,
        amount_remaining: 0,
        credited_before_payment: 0,
        credited_after_payment: 0,
        period_end: Some(CREATED.plus_days(31)),
        created: CREATED,
        finalized_at: None,
        due_date: None,
        paid_at: None,
        next_payment_attempt: None,
        attempt_count: 1,
        payments: vec![PaymentIntentId::new("pi_1")],
    }
}

fn open(remaining: i64, credited: i64) -> Invoice {
    Invoice {
        status: InvoiceStatus::Open,
        amount_due: remaining,
        amount_paid: 0,
        amount_remaining: remaining,
        credited_before_payment: credited,
        ..paid()
    }
}

/// A payment of which a part was refunded, and which is disputed.
fn reversed(amount: i64, refunded: i64, disputes: &[&str]) -> Payment {
    Payment {
        amount_refunded: refunded,
        is_disputed: !disputes.is_empty(),
        disputes: disputes.iter().map(|status| dispute(status, amount)).collect(),
        ..payment(amount)
    }
}

fn state(invoice: &Invoice, payment: &Payment) -> InvoiceState {
    InvoiceStanding::of(invoice, &[payment]).state
}

fn kinds(invoice: &Invoice, payments: &[&Payment]) -> Vec<ReversalKind> {
    Reversal::of(invoice, payments).into_iter().map(|reversal| reversal.kind).collect()
}

#[test]
fn a_paid_invoice_is_refunded_disputed_or_credited() {
    let invoice = paid();
    for (payment, expected) in [
        (reversed(2_900, 0, &[]), InvoiceState::AsStatus),
        (reversed(2_900, 100, &[]), InvoiceState::PartlyRefunded),
        (reversed(2_900, 2_900, &[]), InvoiceState::Refunded),
        (reversed(2_900, 0, &["needs_response"]), InvoiceState::Disputed),
        (reversed(2_900, 0, &["lost"]), InvoiceState::Disputed),
        (reversed(2_900, 0, &["won"]), InvoiceState::AsStatus),
        (reversed(2_900, 0, &["warning_needs_response"]), InvoiceState::AsStatus),
        (reversed(2_900, 2_900, &["warning_closed"]), InvoiceState::Refunded),
    ] {
        assert_eq!(state(&invoice, &payment), expected, "{payment:?}");
    }
    let credited = |before, after| Invoice { credited_before_payment: before, credited_after_payment: after, ..paid() };
    assert_eq!(state(&credited(900, 2_000), &reversed(2_900, 0, &[])), InvoiceState::Credited);
    assert_eq!(state(&credited(0, 2_000), &reversed(2_900, 0, &[])), InvoiceState::AsStatus, "a part");
    assert_eq!(state(&credited(0, 2_900), &reversed(2_900, 2_900, &[])), InvoiceState::Refunded, "it was refunded");
}

#[test]
fn the_sums_of_an_open_invoice_follow_its_credit_notes() {
    let declined = Payment { status: PaymentStatus::RequiresPaymentMethod, ..payment(1_900) };
    let standing = InvoiceStanding::of(&open(1_900, 1_000), &[&declined]);
    assert_eq!(standing.state, InvoiceState::AsStatus);
    assert_eq!((standing.credited, standing.due, standing.refunded), (usd(1_000), usd(1_900), usd(0)));
    assert_eq!(InvoiceStanding::of(&paid(), &[]).due, usd(0), "nothing is due on a paid one");
    let debit = Payment { status: PaymentStatus::Processing, ..declined };
    assert_eq!(state(&open(1_900, 0), &debit), InvoiceState::Pending);
}

#[test]
fn a_dispute_and_a_full_refund_are_reversals() {
    let invoice = paid();
    for (payment, expected) in [
        (reversed(2_900, 0, &[]), vec![]),
        (reversed(2_900, 2_899, &[]), vec![]),
        (reversed(2_900, 2_900, &[]), vec![ReversalKind::Refunded]),
        (reversed(2_900, 0, &["under_review"]), vec![ReversalKind::Disputed]),
        (reversed(2_900, 0, &["lost"]), vec![ReversalKind::DisputeLost]),
        (reversed(2_900, 0, &["lost", "needs_response"]), vec![ReversalKind::Disputed]),
        (reversed(2_900, 0, &["won"]), vec![]),
        (reversed(2_900, 0, &["warning_under_review"]), vec![]),
        (reversed(2_900, 2_900, &["lost"]), vec![ReversalKind::DisputeLost, ReversalKind::Refunded]),
    ] {
        assert_eq!(kinds(&invoice, &[&payment]), expected, "{payment:?}");
    }
    let reversal = &Reversal::of(&invoice, &[&reversed(2_900, 2_900, &[])])[0];
    assert_eq!((reversal.created, reversal.until), (CREATED, CREATED.plus_days(31)));
    // Of two partial payments, both have to be refunded.
    let (first, second) = (reversed(1_000, 1_000, &[]), reversed(1_900, 0, &[]));
    assert_eq!(kinds(&invoice, &[&first, &second]), []);
    let declined = Payment { status: PaymentStatus::RequiresPaymentMethod, ..second };
    assert_eq!(kinds(&invoice, &[&first, &declined]), [ReversalKind::Refunded]);
    assert_eq!(kinds(&open(2_900, 0), &[&reversed(2_900, 2_900, &["lost"])]), [], "it is not paid");
}

proptest! {
    #[test]
    fn no_amount_panics(total: i64, paid_amount: i64, credited: i64, refunded: i64, amount: i64) {
        let invoice = Invoice {
            total: usd(total),
            amount_paid: paid_amount,
            credited_before_payment: credited,
            credited_after_payment: credited,
            ..paid()
        };
        let payment = reversed(amount, refunded, &["lost"]);
        let _ = InvoiceStanding::of(&invoice, &[&payment, &payment]);
        let _ = Reversal::of(&invoice, &[&payment, &payment]);
    }
}
