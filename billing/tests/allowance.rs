//! The sources of usage, and the carry-over when a window is cut short.

use billing::allowance::{Allocation, Allowance, MAX_UNITS, carried_over};
use billing::{Limit, Overage, Timestamp, UsageWindow, usage_window};
use proptest::prelude::*;
use time::macros::datetime;

/// Billing without a ceiling.
const UNCAPPED: Overage = Overage::Bill { max: u64::MAX };

fn allowance(limit: u64, used: u64, reserved: u64, credits: i64) -> Allowance {
    Allowance { limit: Limit::Finite(limit), used, reserved, credits, overage: 0 }
}

fn taken(included: u64, credits: u64, overage: u64) -> Option<Allocation> {
    Some(Allocation { included, credits, overage })
}

#[test]
fn the_allowance_is_used_before_credits_and_credits_before_overage() {
    let allowance = allowance(100, 95, 2, 10);
    assert_eq!(allowance.take(3, Overage::Deny), taken(3, 0, 0));
    assert_eq!(allowance.take(5, Overage::Deny), taken(3, 2, 0));
    assert_eq!(allowance.take(13, Overage::Deny), taken(3, 10, 0));
    assert_eq!(allowance.take(14, Overage::Deny), None, "denied as a whole");
    assert_eq!(allowance.take(14, UNCAPPED), taken(3, 10, 1));
}

#[test]
fn overage_is_billed_up_to_its_ceiling() {
    let allowance = Allowance { overage: 6, ..allowance(100, 99, 0, 0) };
    assert_eq!(allowance.take(5, Overage::Bill { max: 10 }), taken(1, 0, 4));
    assert_eq!(allowance.take(6, Overage::Bill { max: 10 }), None, "denied as a whole");
    assert_eq!(allowance.take(1, Overage::Bill { max: 0 }), taken(1, 0, 0));
    assert_eq!(allowance.take(2, Overage::Bill { max: 0 }), None, "the ceiling may be below what is used");
}

#[test]
fn negative_credits_neither_add_nor_remove_units() {
    let allowance = allowance(100, 99, 0, -40);
    assert_eq!(allowance.left(), Limit::Finite(1));
    assert_eq!(allowance.take(1, Overage::Deny), taken(1, 0, 0));
    assert_eq!(allowance.take(2, Overage::Deny), None);
    assert_eq!(allowance.take(2, UNCAPPED), taken(1, 0, 1));
}

#[test]
fn a_limit_lowered_below_current_usage_leaves_nothing() {
    assert_eq!(allowance(100, 5_000, 0, 0).left(), Limit::Finite(0));
}

#[test]
fn an_unlimited_meter_uses_no_credits_and_stops_at_the_largest_count() {
    let allowance = Allowance { limit: Limit::Unlimited, used: MAX_UNITS - 1, reserved: 0, credits: 0, overage: 0 };
    assert_eq!(allowance.left(), Limit::Unlimited);
    assert_eq!(allowance.take(1, Overage::Deny), taken(1, 0, 0));
    assert_eq!(allowance.take(2, Overage::Deny), None);
}

#[test]
fn a_window_cut_in_half_included_half_the_limit() {
    let window = UsageWindow { start: Timestamp(0), end: Timestamp(1_000) };
    let limit = Limit::Finite(100);
    assert_eq!(carried_over(50, limit, window, Timestamp(500)), 0);
    assert_eq!(carried_over(80, limit, window, Timestamp(500)), 30);
    assert_eq!(carried_over(80, limit, window, Timestamp(0)), 80);
    assert_eq!(carried_over(80, limit, window, Timestamp(1_000)), 0);
    assert_eq!(carried_over(80, Limit::Unlimited, window, Timestamp(0)), 0);
}

/// Uses up the allowance, moves the anchor and uses it up again, day after day.
#[test]
fn moving_the_anchor_every_day_gains_no_more_than_the_elapsed_shares() {
    let limit = Limit::Finite(10_000);
    let start = Timestamp::from(datetime!(2026-03-10 9:30 UTC));
    let (mut before, mut carry, mut sum): (Option<(UsageWindow, u64)>, u64, u64) = (None, 0, 0);
    for day in 0..31 {
        let now = start.plus_days(day);
        if let Some((window, used)) = before {
            carry = carried_over(used, limit, window, now);
        }
        let window = usage_window(Some(now), now);
        let free = 10_000 - carry;
        sum += free;
        before = Some((window, carry + free));
    }
    // One allowance in advance, as every account has, and a share for each of the thirty days.
    assert!((19_600..=19_800).contains(&sum), "{sum}");
}

fn any_allowance() -> impl Strategy<Value = Allowance> {
    let count = prop_oneof![0..200_u64, Just(MAX_UNITS), 0..=MAX_UNITS];
    let limit = prop_oneof![3 => (0..300_u64).prop_map(Limit::Finite), 1 => Just(Limit::Unlimited), 1 => any::<u64>().prop_map(Limit::Finite)];
    (limit, count.clone(), 0..50_u64, -50..200_i64, count)
        .prop_map(|(limit, used, reserved, credits, overage)| Allowance { limit, used, reserved, credits, overage })
}

proptest! {
    #[test]
    fn a_request_is_granted_as_a_whole_or_not_at_all(allowance in any_allowance(), quantity in prop_oneof![1..300_u64, 1..=MAX_UNITS], bill: bool) {
        let policy = if bill { UNCAPPED } else { Overage::Deny };
        match allowance.take(quantity, policy) {
            Some(taken) => {
                prop_assert_eq!(taken.included + taken.credits + taken.overage, quantity);
                prop_assert!(taken.included <= allowance.included_left());
                prop_assert!(taken.credits == 0 || i64::try_from(taken.credits).is_ok_and(|credits| credits <= allowance.credits));
                prop_assert!(taken.credits == 0 || taken.included == allowance.included_left());
                prop_assert!(taken.overage == 0 || bill);
                prop_assert!(allowance.overage.checked_add(taken.overage).is_some_and(|sum| sum <= MAX_UNITS) || taken.overage == 0);
            }
            None if bill => prop_assert!(quantity > MAX_UNITS - allowance.overage.min(MAX_UNITS)),
            None => {
                let is_too_much = match allowance.left() {
                    Limit::Unlimited => quantity > allowance.included_left(),
                    Limit::Finite(left) => quantity > left,
                };
                prop_assert!(is_too_much);
            }
        }
    }

    #[test]
    fn exactly_what_is_left_can_be_taken(allowance in any_allowance()) {
        if let Limit::Finite(left) = allowance.left() {
            prop_assert!(left == 0 || allowance.take(left, Overage::Deny).is_some());
            prop_assert!(allowance.take(left + 1, Overage::Deny).is_none());
        }
    }

    /// However often and wherever windows are cut, usage is at most the shares of the elapsed time plus
    /// one allowance.
    #[test]
    fn cutting_windows_short_neither_multiplies_nor_loses_an_allowance(
        limit in 1..100_000_u64,
        cuts in prop::collection::vec((1..31 * 86_400_i64, 0..=100_u64), 1..12),
    ) {
        let mut now = Timestamp::from(datetime!(2026-01-31 0:00 UTC));
        let (mut carry, mut sum) = (0, 0);
        let mut shares = 0_u128;
        for (after, percent) in &cuts {
            let window = usage_window(Some(now), now);
            let cut = Timestamp((now.0 + after).min(window.end.0));
            let free = limit.saturating_sub(carry);
            prop_assert!(carry <= limit, "no more than one allowance is carried over");
            let used = free * percent / 100;
            sum += used;
            shares += (u128::from(limit) * u128::try_from(cut.0 - window.start.0).unwrap()).div_ceil(u128::try_from(window.end.0 - window.start.0).unwrap());
            let next = carried_over(carry + used, Limit::Finite(limit), window, cut);
            // Only usage is carried over, never the unused rest of a share.
            prop_assert!(next <= used + carry);
            carry = next;
            now = cut;
        }
        prop_assert!(u128::from(sum) <= shares + u128::from(limit));
        // Nothing is lost either: what counts against the next window was used before.
        prop_assert!(u128::from(carry) <= u128::from(sum));
    }
}
