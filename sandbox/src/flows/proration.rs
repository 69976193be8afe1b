//! Prorations, invoice lines and invoice items.
//!
//! Invariant: prorations use integer arithmetic, by the second, rounded half away from zero, so that a
//! preview and a charge with the same time agree to the cent.

use serde_json::{Value, json};

use crate::clock;
use crate::fields::Fields;
use crate::ids;
use crate::objects::{self, Price, SubscriptionItem};

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

/// Describes a line or a pending item.
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
pub(crate) fn line(item: &SubscriptionItem, name: &str, amount: i64, period: (i64, i64)) -> Value {
    let price = &item.price;
    json!({
        "id": ids::new("il_"),
        "object": "line_item",
        "amount": amount,
        "currency": price.currency,
        "description": describe(item, name, amount, period.0, false),
        "discount_amounts": [],
        "discountable": true,
        "discounts": [],
        "invoice": null,
        "livemode": false,
        "metadata": item.metadata,
        "parent": {
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null,
                "proration": false,
                "proration_details": { "credited_items": null },
                "subscription": item.subscription,
                "subscription_item": item.id,
            },
            "type": "subscription_item_details",
        },
        "period": { "end": period.1, "start": period.0 },
        "pretax_credit_amounts": [],
        "pricing": price.pricing(),
        "quantity": item.quantity.unwrap_or_default(),
        "subtotal": amount,
        "taxes": [],
    })
}

/// Returns a pending invoice item for the rest of a period.
pub(crate) fn item(
    customer: &str,
    of: &SubscriptionItem,
    name: &str,
    amount: i64,
    period: (i64, i64),
    now: i64,
) -> Value {
    let price = &of.price;
    let quantity = of.quantity.unwrap_or_default();
    let mut item = objects::invoice_item(customer, amount, &price.currency, quantity, Some(price.pricing()), now);
    item.set("description", describe(of, name, amount, period.0, true));
    item.set("discountable", false);
    item.set("period", json!({ "end": period.1, "start": period.0 }));
    item.set("proration", true);
    item.set(
        "parent",
        json!({
            "subscription_details": { "subscription": of.subscription, "subscription_item": of.id },
            "type": "subscription_details",
        }),
    );
    item
}

/// Returns the invoice line of a one-time price.
pub(crate) fn one_time_line(price: &Price, quantity: i64, name: &str, now: i64) -> Value {
    let amount = price.unit_amount.unwrap_or_default() * quantity;
    json!({
        "id": ids::new("il_"),
        "object": "line_item",
        "amount": amount,
        "currency": price.currency,
        "description": name,
        "discount_amounts": [],
        "discountable": true,
        "discounts": [],
        "invoice": null,
        "livemode": false,
        "metadata": {},
        "parent": {
            "invoice_item_details": {
                "invoice_item": ids::new("ii_"),
                "proration": false,
                "proration_details": { "credited_items": null },
                "subscription": null,
            },
            "subscription_item_details": null,
            "type": "invoice_item_details",
        },
        "period": { "end": now, "start": now },
        "pretax_credit_amounts": [],
        "pricing": price.pricing(),
        "quantity": quantity,
        "subtotal": amount,
        "taxes": [],
    })
}

/// Returns the invoice line of a pending item.
pub(crate) fn item_line(item: &Value) -> Value {
    let owner = &item["parent"]["subscription_details"];
    let details = json!({
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": { "credited_items": null },
        "subscription": owner["subscription"],
    });
    let parent = match owner.some("subscription_item") {
        None => json!({
            "invoice_item_details": details, "subscription_item_details": null, "type": "invoice_item_details",
        }),
        Some(of) => {
            let mut details = details;
            details.set("subscription_item", of);
            json!({
                "invoice_item_details": null, "subscription_item_details": details,
                "type": "subscription_item_details",
            })
        }
    };
    json!({
        "id": ids::new("il_"),
        "object": "line_item",
        "amount": item["amount"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": [],
        "discountable": item["discountable"],
        "discounts": [],
        "invoice": null,
        "livemode": false,
        "metadata": item["metadata"],
        "parent": parent,
        "period": item["period"],
        "pretax_credit_amounts": [],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "subtotal": item["amount"],
        "taxes": [],
    })
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
        fn a_share_is_never_more_than_the_whole(
            amount in -1_000_000_000_i64..1_000_000_000, length in 1_i64..40_000_000, at in 0_i64..50_000_000,
        ) {
            let share = remaining(amount, (0, length), at);
            prop_assert!(share.abs() <= amount.abs());
            prop_assert!(share == 0 || share.signum() == amount.signum());
        }
    }
}
