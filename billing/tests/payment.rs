//! Payments: required customer action, and disputed amounts.

mod support;

use billing::ledger::{DisputeStatus, InvoiceStatus, Payment, PaymentStatus};
use proptest::prelude::*;
use support::{dispute, payment};

/// A renewal is charged off-session. A bank that requires authentication declines it with its own code.
#[test]
fn the_customer_has_to_act_when_the_bank_requires_authentication() {
    let after = |status: PaymentStatus, code: Option<&str>| Payment {
        status,
        failure_code: code.map(str::to_owned),
        ..payment(1_500)
    };
    assert!(after(PaymentStatus::RequiresAction, None).needs_action());
    assert!(after(PaymentStatus::RequiresPaymentMethod, Some("authentication_required")).needs_action());
    assert!(!after(PaymentStatus::RequiresPaymentMethod, Some("card_declined")).needs_action());
    assert!(!after(PaymentStatus::RequiresPaymentMethod, None).needs_action());
    assert!(!after(PaymentStatus::Succeeded, Some("authentication_required")).needs_action(), "it was confirmed");
}

#[test]
fn a_dispute_takes_money_while_it_is_open_and_when_it_is_lost() {
    let takes = |status: &str| DisputeStatus::from(status.to_owned()).withholds_funds();
    for status in ["needs_response", "under_review", "lost", "a_future_status"] {
        assert!(takes(status), "{status}");
    }
    for status in ["won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed"] {
        assert!(!takes(status), "{status}");
    }
}

#[test]
fn only_disputes_that_take_money_count_as_disputed() {
    let disputes = vec![
        dispute("needs_response", 100),
        dispute("under_review", 20),
        dispute("lost", 3),
        dispute("won", 1_000),
        dispute("prevented", 1_000),
        dispute("warning_closed", 1_000),
    ];
    assert_eq!(Payment { disputes, ..payment(1_500) }.amount_disputed(), 123);
    assert_eq!(payment(1_500).amount_disputed(), 0);
}

#[test]
fn disputed_amounts_saturate_instead_of_overflowing() {
    let disputes = vec![dispute("lost", i64::MAX), dispute("lost", i64::MAX)];
    assert_eq!(Payment { disputes, ..payment(1_500) }.amount_disputed(), i64::MAX);
}

#[test]
fn an_unknown_invoice_status_is_kept_as_received() {
    for value in ["draft", "open", "paid", "void", "uncollectible", "hibernating", ""] {
        let status = InvoiceStatus::from(value.to_owned());
        assert_eq!(status.as_str(), value);
        assert_eq!(matches!(status, InvoiceStatus::Unknown(_)), ["hibernating", ""].contains(&value), "{value}");
    }
}

proptest! {
    #[test]
    fn every_dispute_status_is_kept_as_received(status in "[a-z_]{1,30}") {
        prop_assert_eq!(String::from(DisputeStatus::from(status.clone())), status);
    }
}
