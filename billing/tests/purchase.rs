//! What a one-time purchase grants while its payment changes.

use billing::purchase::{DisputeStatus, Payment};
use proptest::prelude::*;

fn paid(amount: i64) -> Payment {
    Payment { is_settled: true, amount, ..Payment::default() }
}

#[test]
fn what_is_paid_grants_all_and_what_is_not_grants_nothing() {
    assert_eq!(paid(1_500).units_of(500), 500);
    assert_eq!(Payment { is_settled: false, ..paid(1_500) }.units_of(500), 0);
}

#[test]
fn what_costs_nothing_is_granted_whole() {
    assert_eq!(paid(0).units_of(500), 500);
}

#[test]
fn a_refund_takes_its_share_and_a_whole_one_takes_everything() {
    assert_eq!(Payment { refunded: 500, ..paid(1_500) }.units_of(500), 333);
    assert_eq!(Payment { refunded: 1_500, ..paid(1_500) }.units_of(500), 0);
}

#[test]
fn a_refund_and_a_dispute_together_take_no_more_than_there_is() {
    assert_eq!(Payment { refunded: 1_000, disputed: 1_500, ..paid(1_500) }.units_of(500), 0);
    assert_eq!(Payment { refunded: i64::MAX, disputed: i64::MAX, ..paid(1) }.units_of(u64::MAX), 0);
}

#[test]
fn only_a_dispute_that_holds_money_back_takes_it() {
    let takes = |word: &str| DisputeStatus::from(word.to_owned()).takes_money();
    for word in ["needs_response", "under_review", "lost", "a_status_of_tomorrow"] {
        assert!(takes(word), "{word}");
    }
    for word in ["won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed"] {
        assert!(!takes(word), "{word}");
    }
}

proptest! {
    #[test]
    fn nobody_is_granted_more_than_was_paid_for(
        units in 0_u64..1_000_000_000, amount in 1_i64..1_000_000_000, refunded in 0_i64..2_000_000_000, disputed in 0_i64..2_000_000_000,
    ) {
        let granted = Payment { refunded, disputed, ..paid(amount) }.units_of(units);
        let kept = u128::from((amount - refunded - disputed).max(0).unsigned_abs());
        prop_assert!(granted <= units);
        prop_assert!(u128::from(granted) * u128::from(amount.unsigned_abs()) <= u128::from(units) * kept);
    }

    #[test]
    fn giving_more_back_never_grants_more(
        units in 0_u64..1_000_000, amount in 1_i64..1_000_000, refunded in 0_i64..1_000_000, more in 0_i64..1_000_000,
    ) {
        let before = Payment { refunded, ..paid(amount) };
        let refunded_more = Payment { refunded: refunded + more, ..before };
        let disputed_besides = Payment { disputed: more, ..before };
        prop_assert!(refunded_more.units_of(units) <= before.units_of(units));
        prop_assert!(disputed_besides.units_of(units) <= before.units_of(units));
    }

    #[test]
    fn every_word_of_a_status_is_kept(word in "[a-z_]{1,30}") {
        prop_assert_eq!(String::from(DisputeStatus::from(word.clone())), word);
    }
}
