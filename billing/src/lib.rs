//! The billing rules: plans, subscriptions, entitlement, usage and purchases.
//!
//! Everything here is a pure function of its arguments: there is no I/O, clock, environment or
//! randomness. Rules can therefore be property-tested, and they give the same result on the
//! server, in a test and in a browser. Time comes in as a [`Timestamp`], plans as a [`Catalog`].

pub mod allowance;
pub mod catalog;
pub mod email;
pub mod entitlement;
pub mod ids;
mod keys;
pub mod ledger;
mod limit;
pub mod money;
mod overage;
pub mod policy;
mod stripe_enum;
pub mod subscription;
pub mod time;
pub mod usage_window;

pub use allowance::{Allocation, Allowance};
pub use catalog::{
    Catalog, CatalogErrors, FeatureDefinition, Interval, MeterDefinition, MeteredPrice, OnDispute, OnFullRefund,
    OnPause, Plan, Price, Product, Tier,
};
pub use entitlement::{Entitlement, Flag, Reason, Rule, entitlement};
pub use ids::{
    AccountId, CheckoutSessionId, CustomerId, EventId, InvoiceId, PaymentIntentId, PriceId, SubscriptionId, UserId,
};
pub use keys::{Feature, Meter};
pub use limit::{Limit, Overage};
pub use money::{Currency, Money};
pub use overage::overage;
pub use policy::{Admission, Policy, PolicyError};
pub use subscription::{Item, PaidPlan, Pause, PauseBehavior, PauseReason, Period, Status, Subscription};
pub use time::Timestamp;
pub use usage_window::{UsageWindow, usage_window};
