//! A subscription as Stripe has it, reduced to what access depends on.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Tier};
use crate::ids::{CustomerId, PriceId, SubscriptionId};
use crate::stripe_enum::stripe_enum;
use crate::time::Timestamp;

stripe_enum! {
    /// Stripe's subscription status. A value that Stripe adds later is kept as it came.
    Status {
        /// In its trial.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A renewal failed and Stripe is trying again.
        PastDue = "past_due",
        /// Stripe gave up and left it open.
        Unpaid = "unpaid",
        /// The trial ended without a card.
        Paused = "paused",
        /// The first payment has not gone through yet.
        Incomplete = "incomplete",
        /// The first payment never went through.
        IncompleteExpired = "incomplete_expired",
        /// Over.
        Canceled = "canceled",
    }
}

impl Status {
    /// Whether it has ended for good: it can be followed by a new subscription.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// A span of time that is paid for: from `start`, up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// First instant.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

/// One line of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Stripe's `si_…`.
    pub id: String,
    /// What is charged.
    pub price: PriceId,
    /// The price's lookup key, if it has one.
    pub lookup_key: Option<String>,
    /// How many.
    pub quantity: u64,
    /// The period it is paid for.
    pub period: Period,
}

stripe_enum! {
    /// What becomes of the invoices that are written while payments are paused: Stripe's `behavior`.
    PauseBehavior {
        /// They are charged afterwards.
        KeepAsDraft = "keep_as_draft",
        /// They are written off.
        MarkUncollectible = "mark_uncollectible",
        /// They are void.
        Void = "void",
    }
}

/// Payments are paused: nobody is charged. The status goes on as it was, and so does what it opens
/// (Stripe docs, "Pause payment collection").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What becomes of the invoices meanwhile.
    pub behavior: PauseBehavior,
    /// When it is over by itself; never when `None`.
    pub resumes_at: Option<Timestamp>,
}

/// A subscription with all its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's `sub_…`.
    pub id: SubscriptionId,
    /// Whose it is at Stripe.
    pub customer: CustomerId,
    /// As Stripe last said.
    pub status: Status,
    /// All of them count, not only the first.
    pub items: Vec<Item>,
    /// Stripe's `created`.
    pub created: Timestamp,
    /// Where monthly windows are counted from.
    pub billing_cycle_anchor: Timestamp,
    /// It will end when the period does.
    pub cancel_at_period_end: bool,
    /// It will end then.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// Whether payments are paused. Snapshots of before it was kept lack it.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// The time of the first failed invoice of this delinquency; retries do not move it.
    pub past_due_since: Option<Timestamp>,
    /// The tier its prices meant when they were last all known.
    pub last_known_tier: Option<Tier>,
}

impl Subscription {
    /// From the earliest start to the latest end of its items; empty at `created` without items.
    pub fn period(&self) -> Period {
        let start = self.items.iter().map(|item| item.period.start).min().unwrap_or(self.created);
        let end = self.items.iter().map(|item| item.period.end).max().unwrap_or(self.created);
        Period { start, end }
    }

    /// When it ends, if it has been told to: at `cancel_at` or with the period, whichever comes first.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let with_period = self.cancel_at_period_end.then(|| self.period().end);
        self.cancel_at.into_iter().chain(with_period).min()
    }

    /// The best tier among its items and whether every price was known. An item that bills use
    /// is known and stands for no tier.
    pub fn tier<'a>(&'a self, catalog: &'a Catalog) -> (Option<&'a Tier>, bool) {
        let of_plans = || self.items.iter().filter(|item| !catalog.is_metered(item.lookup_key.as_deref()));
        let known = || of_plans().map(|item| catalog.tier_of_price(&item.price, item.lookup_key.as_deref()));
        let all_known = !self.items.is_empty() && known().all(|tier| tier.is_some());
        let best = known().flatten().max_by_key(|tier| catalog.rank(tier));
        let kept = if all_known { None } else { self.last_known_tier.as_ref() };
        (best.into_iter().chain(kept).max_by_key(|tier| catalog.rank(tier)), all_known)
    }
}
