//! The shipped catalogue and a subscription to start from.

#![allow(dead_code, reason = "every test file is its own crate and uses its own part")]

use billing::time::DAY;
use billing::{Catalog, CustomerId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Tier, Timestamp};
use time::macros::datetime;

/// `plans.toml` as it is shipped.
pub const PLANS: &str = include_str!("../../../plans.toml");

/// Start of the period that [`subscription`] has paid for.
pub const START: Timestamp = Timestamp(datetime!(2026-03-10 09:30:00 UTC).unix_timestamp());
/// End of that period.
pub const END: Timestamp = Timestamp(datetime!(2026-04-10 09:30:00 UTC).unix_timestamp());
/// The grace of the shipped catalogue.
pub const GRACE: i64 = 3 * DAY;

/// The shipped catalogue with the price ids `price_pro`, `price_pro_year`, `price_ent` and `price_ent_year`.
pub fn catalog() -> Catalog {
    Catalog::parse(PLANS, &|name| {
        let id = match name {
            "STRIPE_PRO_PRICE_ID" => "price_pro",
            "STRIPE_PRO_YEARLY_PRICE_ID" => "price_pro_year",
            "STRIPE_ENTERPRISE_PRICE_ID" => "price_ent",
            "STRIPE_ENTERPRISE_YEARLY_PRICE_ID" => "price_ent_year",
            _ => return None,
        };
        Some(id.to_owned())
    })
    .expect("the shipped catalogue is sound")
}

/// An active subscription to `price` that has paid for [`START`] to [`END`].
pub fn subscription(id: &str, price: &str) -> Subscription {
    Subscription {
        id: SubscriptionId::new(id),
        customer: CustomerId::new("cus_1"),
        status: Status::Active,
        items: vec![item(price, START, END)],
        created: START,
        billing_cycle_anchor: START,
        cancel_at_period_end: false,
        cancel_at: None,
        ended_at: None,
        trial_end: None,
        past_due_since: None,
        pause: None,
        last_known_tier: None,
    }
}

/// One line for `price` that is paid for from `start` to `end`.
pub fn item(price: &str, start: Timestamp, end: Timestamp) -> Item {
    Item {
        id: format!("si_{price}"),
        price: PriceId::new(price),
        lookup_key: None,
        quantity: 1,
        period: Period { start, end },
    }
}

/// The shipped tiers.
pub fn free() -> Tier {
    Tier::new("FREE")
}

/// See [`free`].
pub fn pro() -> Tier {
    Tier::new("PRO")
}

/// See [`free`].
pub fn enterprise() -> Tier {
    Tier::new("ENTERPRISE")
}
