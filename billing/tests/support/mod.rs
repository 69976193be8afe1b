//! The shipped catalog, the names it declares, and a subscription to start from.

#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

use billing::ledger::{Dispute, DisputeStatus, Payment, PaymentStatus};
use billing::time::DAY;
use billing::{
    Catalog, Currency, CustomerId, Feature, Item, Meter, Money, PaymentIntentId, Period, PriceId, Subscription,
    SubscriptionId, Tier, Timestamp,
};
use time::macros::datetime;

/// `plans.toml` as shipped.
pub const PLANS: &str = include_str!("../../../plans.toml");

/// A feature of Pro and Enterprise.
pub const ADVANCED_ANALYTICS: Feature = Feature::new("advancedAnalytics");
/// A feature of Pro and Enterprise.
pub const CUSTOM_DOMAIN: Feature = Feature::new("customDomain");
/// A feature of Enterprise.
pub const PRIORITY_SUPPORT: Feature = Feature::new("prioritySupport");

/// Calls of the public API.
pub const API_CALLS: Meter = Meter::new("apiCallsPerMonth");
/// AI generations.
pub const AI_GENERATIONS: Meter = Meter::new("aiGenerationsPerMonth");

/// The start of the paid period of a [`subscription`].
pub const START: Timestamp = Timestamp(datetime!(2026-03-10 09:30:00 UTC).unix_timestamp());
/// The end of that period.
pub const END: Timestamp = Timestamp(datetime!(2026-04-10 09:30:00 UTC).unix_timestamp());
/// The grace period of the shipped catalog, in seconds.
pub const GRACE: i64 = 3 * DAY;

/// The time at which a [`payment`] and a [`dispute`] were created.
pub const CREATED: Timestamp = Timestamp(1_812_628_800);

/// An amount of US dollars, in cents.
pub fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").expect("a currency"))
}

/// A payment that has succeeded.
pub fn payment(amount: i64) -> Payment {
    Payment {
        id: PaymentIntentId::new("pi_1"),
        customer: None,
        status: PaymentStatus::Succeeded,
        amount: usd(amount),
        description: None,
        charge: Some("ch_1".to_owned()),
        amount_refunded: 0,
        refunds: Vec::new(),
        is_disputed: false,
        disputes: Vec::new(),
        card: None,
        receipt_url: None,
        failure: None,
        failure_code: None,
        created: CREATED,
    }
}

/// A dispute with Stripe's name of its status.
pub fn dispute(status: &str, amount: i64) -> Dispute {
    let status = DisputeStatus::from(status.to_owned());
    Dispute { id: "dp_1".to_owned(), amount, status, reason: None, created: CREATED }
}

/// The shipped catalog with the price ids `price_pro`, `price_pro_year`, `price_ent` and `price_ent_year`.
pub fn catalog() -> Catalog {
    parse(PLANS)
}

/// A catalog with the same price ids.
pub fn parse(plans: &str) -> Catalog {
    Catalog::parse(plans, &|name| {
        let id = match name {
            "STRIPE_PRO_PRICE_ID" => "price_pro",
            "STRIPE_PRO_YEARLY_PRICE_ID" => "price_pro_year",
            "STRIPE_ENTERPRISE_PRICE_ID" => "price_ent",
            "STRIPE_ENTERPRISE_YEARLY_PRICE_ID" => "price_ent_year",
            _ => return None,
        };
        Some(id.to_owned())
    })
    .expect("the catalog is valid")
}

/// An active subscription to `price`, paid from [`START`] to [`END`].
pub fn subscription(id: &str, price: &str) -> Subscription {
    Subscription::active(SubscriptionId::new(id), CustomerId::new("cus_1"), vec![item(price, START, END)])
}

/// An item for `price`, paid from `start` to `end`.
pub fn item(price: &str, start: Timestamp, end: Timestamp) -> Item {
    Item {
        id: format!("si_{price}"),
        price: PriceId::new(price),
        lookup_key: None,
        quantity: 1,
        period: Period { start, end },
    }
}

/// The shipped free tier.
pub fn free() -> Tier {
    Tier::new("FREE")
}

/// The shipped middle tier.
pub fn pro() -> Tier {
    Tier::new("PRO")
}

/// The shipped highest tier.
pub fn enterprise() -> Tier {
    Tier::new("ENTERPRISE")
}
