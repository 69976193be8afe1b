//! A subscription as Stripe reports it, reduced to what access depends on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Price, Tier};
use crate::ids::{CustomerId, PriceId, SubscriptionId};
use crate::ledger::{Reversal, ReversalKind};
use crate::stripe_enum::stripe_enum;
use crate::time::Timestamp;

stripe_enum! {
    /// The status of a subscription (Stripe API, "The Subscription object").
    Status {
        /// In a free trial.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A renewal failed and Stripe retries the payment.
        PastDue = "past_due",
        /// Stripe stopped retrying and left the subscription open.
        Unpaid = "unpaid",
        /// The trial ended without a payment method.
        Paused = "paused",
        /// The first payment has not succeeded yet.
        Incomplete = "incomplete",
        /// The first payment did not succeed in time.
        IncompleteExpired = "incomplete_expired",
        /// Ended by a cancellation.
        Canceled = "canceled",
    }
}

impl Status {
    /// Returns `true` if the subscription has ended for good, so that a new one can be started.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// A paid span of time, from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first second.
    pub start: Timestamp,
    /// The first second after the period.
    pub end: Timestamp,
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Stripe's `si_…`.
    pub id: String,
    /// The price it is charged at.
    pub price: PriceId,
    /// The lookup key of the price.
    pub lookup_key: Option<String>,
    /// The number of units that are charged, such as seats.
    pub quantity: u64,
    /// The current period.
    pub period: Period,
}

stripe_enum! {
    /// The handling of invoices while payment collection is paused: Stripe's `behavior`.
    PauseBehavior {
        /// They stay drafts and are charged later.
        KeepAsDraft = "keep_as_draft",
        /// They are written off.
        MarkUncollectible = "mark_uncollectible",
        /// They are voided.
        Void = "void",
    }
}

/// Paused payment collection. The status stays as it was, and so does access (Stripe docs, "Pause
/// payment collection").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The handling of invoices in the meantime.
    pub behavior: PauseBehavior,
    /// When collection resumes by itself; `None` if it does not.
    pub resumes_at: Option<Timestamp>,
}

stripe_enum! {
    /// The reason for the status `paused`: Stripe's `status_details.paused.subscription.type`.
    PauseReason {
        /// The first payment of a renewal failed.
        FirstPaymentFailure = "first_payment_failure",
        /// The last attempt to pay a renewal failed.
        FinalPaymentFailure = "final_payment_failure",
        /// It was paused on request.
        PauseRequested = "pause_requested",
        /// Stripe paused it.
        System = "system",
        /// The trial ended without a payment method.
        TrialEndWithoutPaymentMethod = "trial_end_without_payment_method",
    }
}

impl PauseReason {
    /// Returns `true` if a payment failed, so that paying resumes the subscription.
    pub const fn is_unpaid(&self) -> bool {
        matches!(self, Self::FirstPaymentFailure | Self::FinalPaymentFailure)
    }
}

/// The plan of the last invoice that was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidPlan {
    /// The best tier on that invoice.
    pub tier: Tier,
    /// The end of the period it was paid for.
    pub until: Timestamp,
}

/// A subscription with all its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's `sub_…`.
    pub id: SubscriptionId,
    /// The customer it belongs to.
    pub customer: CustomerId,
    /// The status Stripe last reported.
    pub status: Status,
    /// Every item; all of them count.
    pub items: Vec<Item>,
    /// When Stripe created it.
    pub created: Timestamp,
    /// The anchor of its billing periods and usage windows.
    pub billing_cycle_anchor: Timestamp,
    /// Whether it is set to cancel at the end of the period.
    pub cancel_at_period_end: bool,
    /// When it is set to cancel.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// The pause of payment collection, if any. Missing in snapshots stored by older versions.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// The reason for the status `paused`; `None` in other statuses, and in old API versions.
    #[serde(default)]
    pub paused: Option<PauseReason>,
    /// The plan that was paid last, while a payment is missing. An upgrade whose payment failed gives
    /// no more than this.
    #[serde(default)]
    pub paid: Option<PaidPlan>,
    /// Its payments that are disputed, were lost in a dispute, or were refunded in full with no newer
    /// invoice paid since.
    #[serde(default)]
    pub reversals: Vec<Reversal>,
    /// When the first unpaid invoice became due; retries do not move it.
    pub past_due_since: Option<Timestamp>,
    /// The tier of its prices when all of them were last known.
    pub last_known_tier: Option<Tier>,
}

impl Subscription {
    /// Returns an active subscription that began with the current period of its items, as tests need it.
    pub fn active(id: SubscriptionId, customer: CustomerId, items: Vec<Item>) -> Self {
        let began = items.iter().map(|item| item.period.start).min().unwrap_or_default();
        Self {
            id,
            customer,
            status: Status::Active,
            items,
            created: began,
            billing_cycle_anchor: began,
            cancel_at_period_end: false,
            cancel_at: None,
            ended_at: None,
            trial_end: None,
            pause: None,
            paused: None,
            paid: None,
            reversals: Vec::new(),
            past_due_since: None,
            last_known_tier: None,
        }
    }

    /// Returns the span from the earliest start to the latest end of its items; without items, an
    /// empty span at `created`.
    pub fn period(&self) -> Period {
        let start = self.items.iter().map(|item| item.period.start).min().unwrap_or(self.created);
        let end = self.items.iter().map(|item| item.period.end).max().unwrap_or(self.created);
        Period { start, end }
    }

    /// Returns `true` if a new payment method may pay what is owed, or resume the subscription. The first
    /// payment is left to the customer.
    pub fn is_collectable(&self) -> bool {
        match self.status {
            Status::PastDue | Status::Unpaid => true,
            // Old API versions know no other reason than the end of a trial.
            Status::Paused => {
                self.is_unpaid() || matches!(self.paused, None | Some(PauseReason::TrialEndWithoutPaymentMethod))
            }
            _ => false,
        }
    }

    /// Returns `true` if a payment failed and can still be made: it is past due, or paused because of it.
    pub fn is_unpaid(&self) -> bool {
        match self.status {
            Status::PastDue => true,
            Status::Paused => self.paused.as_ref().is_some_and(PauseReason::is_unpaid),
            _ => false,
        }
    }

    /// Returns `true` if it is paused because that was requested.
    pub fn is_paused_on_request(&self) -> bool {
        self.status == Status::Paused && self.paused == Some(PauseReason::PauseRequested)
    }

    /// Returns `true` if it has invoices that were due and are not paid.
    pub fn owes(&self) -> bool {
        self.is_unpaid() || self.status == Status::Unpaid
    }

    /// Returns when it is set to end: at `cancel_at` or with the period, whichever comes first.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let with_period = self.cancel_at_period_end.then(|| self.period().end);
        self.cancel_at.into_iter().chain(with_period).min()
    }

    /// Returns the end of the grace period after a failed payment of `period`. If the time of the
    /// failure is unknown, the payment for this period is the one that failed.
    pub(crate) fn grace_end_of(&self, period: Period, catalog: &Catalog) -> Timestamp {
        self.past_due_since.unwrap_or(period.start).plus_days(i64::from(catalog.grace_days()))
    }

    /// Returns the end of the grace period after a failed payment.
    pub fn grace_end(&self, catalog: &Catalog) -> Timestamp {
        self.grace_end_of(self.period(), catalog)
    }

    /// Returns what happened to the payments for the current period.
    ///
    /// Of items with different periods the latest counts, so that the invoices of a monthly item's earlier
    /// periods do not belong to the current period of a yearly one.
    pub fn current_reversals(&self) -> impl Iterator<Item = ReversalKind> {
        let start = self.items.iter().map(|item| item.period.start).max();
        let current = self.reversals.iter().filter(move |reversal| start.is_some_and(|start| reversal.until > start));
        current.map(|reversal| reversal.kind)
    }

    /// Returns what operators should know about its payments: an open dispute, and until it ends, a lost dispute or
    /// full refund of the payment for the current period.
    pub fn flagged_reversals(&self) -> BTreeSet<ReversalKind> {
        // Evidence is due even if the subscription has ended since.
        let disputed = self.is_disputed().then_some(ReversalKind::Disputed);
        let current = self.current_reversals().filter(|_| !self.status.has_ended());
        disputed.into_iter().chain(current).collect()
    }

    /// Returns `true` if a dispute of any of its payments is open.
    pub fn is_disputed(&self) -> bool {
        self.reversals.iter().any(|reversal| reversal.kind == ReversalKind::Disputed)
    }

    /// Returns the catalog's price of its plan; `None` for a price that is no longer sold.
    pub fn price<'a>(&self, catalog: &'a Catalog) -> Option<&'a Price> {
        let plan = catalog.plan(self.tier(catalog).0?)?;
        let is_of = |price: &Price, item: &Item| {
            price.id.as_ref() == Some(&item.price) || item.lookup_key.as_deref() == Some(price.lookup_key.as_str())
        };
        plan.prices.iter().find(|price| self.items.iter().any(|item| is_of(price, item)))
    }

    /// Returns the best tier among its items, and whether every price is known.
    ///
    /// If a price is unknown, the last known tier counts as well. A metered price is known and belongs
    /// to no tier.
    pub fn tier<'a>(&'a self, catalog: &'a Catalog) -> (Option<&'a Tier>, bool) {
        let plan_items = || self.items.iter().filter(|item| !catalog.is_metered(item.lookup_key.as_deref()));
        let tiers = || plan_items().map(|item| catalog.tier_of_price(&item.price, item.lookup_key.as_deref()));
        let all_known = !self.items.is_empty() && tiers().all(|tier| tier.is_some());
        let best = tiers().flatten().max_by_key(|tier| catalog.rank(tier));
        let kept = if all_known { None } else { self.last_known_tier.as_ref() };
        (best.into_iter().chain(kept).max_by_key(|tier| catalog.rank(tier)), all_known)
    }
}
