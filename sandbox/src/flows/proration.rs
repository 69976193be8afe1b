//! Prorations, invoice lines and invoice items.
//!
//! Invariant: prorations use integer arithmetic, by the second, rounded half away from zero, so that a
//! preview and a charge with the same time agree to the cent.

use crate::clock;
use crate::objects::{InvoiceItem, InvoiceLine, SubscriptionItem};

/// Returns the share of `amount` for the time from `at` to the end of the period.
pub(crate) fn remaining(amount: i64, period: (i64, i64), at: i64) -> i64 {
    let (start, end) = period;
    let length = i128::from(end - start);
    if length <= 0 {
        return 0;
    }
    let left = i128::from((end - at).clamp(0, end - start));
    let product = i128::from(amount) * left;
    let rounded = (product.abs() * 2 + length) / (length * 2);
    i64::try_from(rounded * product.signum()).unwrap_or(amount)
}

/// Returns the description of a line or a pending item.
fn describe(item: &SubscriptionItem, name: &str, amount: i64, from: i64, proration: bool) -> String {
    let from = clock::short_date(from);
    let price = &item.price;
    match (proration, amount < 0) {
        (true, true) => format!("Unused time on {name} after {from}"),
        (true, false) => format!("Remaining time on {name} after {from}"),
        _ => {
            let (unit, quantity) = (price.formatted(), item.quantity.unwrap_or_default());
            let interval = price.recurring.as_ref().map_or("", |recurring| recurring.interval.as_str());
            format!("{quantity} × {name} (at {unit} / {interval})")
        }
    }
}

/// Returns the invoice line of an item for a period.
pub(crate) fn line(item: &SubscriptionItem, name: &str, amount: i64, period: (i64, i64)) -> InvoiceLine {
    InvoiceLine::of_subscription(item, describe(item, name, amount, period.0, false), amount, period)
}

/// Returns a pending invoice item for the rest of a period.
pub(crate) fn item(
    customer: &str,
    of: &SubscriptionItem,
    name: &str,
    amount: i64,
    period: (i64, i64),
    now: i64,
) -> InvoiceItem {
    InvoiceItem::proration(customer, of, describe(of, name, amount, period.0, true), amount, period, now)
}

#[cfg(test)]
mod tests {
    use super::remaining;
    use proptest::prelude::*;

    #[test]
    fn half_a_period_is_half_the_price() {
        assert_eq!(remaining(1_900, (0, 100), 50), 950);
        assert_eq!(remaining(-1_900, (0, 100), 50), -950);
        assert_eq!(remaining(1, (0, 2), 1), 1);
    }

    proptest! {
        #[test]
        fn a_share_never_exceeds_the_whole(
            amount in -1_000_000_000_i64..1_000_000_000, length in 1_i64..40_000_000, at in 0_i64..50_000_000,
        ) {
            let share = remaining(amount, (0, length), at);
            prop_assert!(share.abs() <= amount.abs());
            prop_assert!(share == 0 || share.signum() == amount.signum());
        }
    }
}
