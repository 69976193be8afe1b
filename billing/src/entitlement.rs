//! Computes an account's entitlement at a given time, with the reason: one pure function.
//!
//! | Stripe status | access |
//! |---|---|
//! | `trialing`, `active` | the tier until the period's end plus the grace period; a period that was not renewed by then is stale: no access, flagged |
//! | … set to cancel | the tier until exactly that time |
//! | `past_due` | the tier until the first failed payment plus the grace period |
//! | … because an upgrade was not paid | the tier that was paid last, to the end of the period it was paid for |
//! | `paused` after a failed payment | as `past_due` |
//! | `paused` on request | none; with `on_pause = "keep_period"`, the tier until exactly the period's end |
//! | `paused` for another reason, such as a trial without a payment method | none |
//! | `incomplete`, `incomplete_expired`, `canceled`, `unpaid` | none |
//! | any other status, or a price that was never known | none, flagged |
//!
//! A subscription whose payment for the current period is disputed or was refunded in full gives no
//! access if `on_dispute` or `on_full_refund` say so, and is flagged in any case.
//!
//! The statuses are Stripe's (Stripe docs, "How subscriptions work"). Of several subscriptions the
//! best one counts, and of several items the best item. `tests/entitlement.rs` proves each row.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, OnDispute, OnFullRefund, OnPause, Tier};
use crate::ids::SubscriptionId;
use crate::keys::{Feature, Meter};
use crate::ledger::ReversalKind;
use crate::limit::Limit;
use crate::subscription::{Period, Status, Subscription};
use crate::time::Timestamp;

/// An account's access at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The tier whose features and limits apply.
    pub tier: Tier,
    /// The tier's place in the catalog, 0 being the lowest.
    pub rank: usize,
    /// The features the tier includes.
    pub features: BTreeSet<Feature>,
    /// Units of each meter included per usage window.
    pub limits: BTreeMap<Meter, Limit>,
    /// The deciding subscription and rule.
    pub reason: Reason,
    /// When the tier is lost unless Stripe reports a change; `None` for the free tier.
    pub until: Option<Timestamp>,
    /// The anchor of usage windows; `None` for calendar months.
    pub window_anchor: Option<Timestamp>,
    /// Issues for an operator to look into.
    pub flags: Vec<Flag>,
}

impl Entitlement {
    /// Returns how much of `meter` is included per usage window.
    pub fn limit(&self, meter: Meter) -> Limit {
        self.limits.get(&meter).copied().unwrap_or(Limit::Finite(0))
    }

    /// Returns the subscription that gives the tier, and whose usage windows apply; `None` on the free tier.
    pub fn subscription(&self) -> Option<&SubscriptionId> {
        match (&self.reason, self.window_anchor) {
            (Reason::Subscription { id, .. }, Some(_)) => Some(id),
            _ => None,
        }
    }
}

/// The reason an account has its tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// It has no subscription.
    NoSubscription,
    /// A subscription determines the tier.
    Subscription {
        /// The subscription that gives or denies access.
        id: SubscriptionId,
        /// Its status in Stripe.
        status: Status,
        /// The rule that was applied to it.
        rule: Rule,
    },
}

/// The rule that determines a subscription's access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rule {
    /// Paid or in trial: access until the period's end plus the grace period.
    PeriodPaid,
    /// Set to cancel later: access until exactly then.
    EndsLater,
    /// A payment failed: access until the end of the grace period.
    InGrace,
    /// A payment failed, for an upgrade for example: access to the plan that was paid last, to the end
    /// of the period it was paid for.
    PaidBefore,
    /// A payment failed and the grace period has ended.
    GraceOver,
    /// The cancellation date has passed.
    Ended,
    /// The period has ended and was not renewed.
    StalePeriod,
    /// The payment for the current period is disputed, or was lost in a dispute.
    PaymentDisputed,
    /// The payment for the current period was refunded in full.
    PaymentRefunded,
    /// It is paused on request, in a period that is paid for.
    PausedInPeriod,
    /// The status gives no access: canceled, unpaid, paused or incomplete.
    StatusGivesNothing,
    /// This version does not know the status.
    UnknownStatus,
    /// None of its prices was ever in the catalog.
    UnknownPrice,
}

impl Rule {
    /// Returns a description that completes a sentence such as `sub_1 is past_due: …`.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::PeriodPaid => "the period is paid for",
            Self::EndsLater => "it is set to cancel and has not ended yet",
            Self::InGrace => "a payment failed and the grace period is running",
            Self::PaidBefore => "a payment failed, and the plan that was paid last runs to the end of its period",
            Self::GraceOver => "a payment failed and the grace period has ended",
            Self::Ended => "its cancellation date has passed",
            Self::StalePeriod => "its period has ended and was not renewed",
            Self::PaymentDisputed => "the payment for the period is disputed or was lost in a dispute",
            Self::PaymentRefunded => "the payment for the period was refunded in full",
            Self::PausedInPeriod => "it is paused on request, and the period is paid for",
            Self::StatusGivesNothing => "this status gives no access",
            Self::UnknownStatus => "this version does not know the status",
            Self::UnknownPrice => "none of its prices was ever in the catalog",
        }
    }
}

/// Something about a subscription that an operator should look into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flag {
    /// Its period has ended and was not renewed.
    StalePeriod(SubscriptionId),
    /// Its status is unknown.
    UnknownStatus(SubscriptionId, String),
    /// It has a price that is not in the catalog.
    UnknownPrice(SubscriptionId),
    /// One of its payments is disputed: the bank waits for evidence, or reviews it.
    Disputed(SubscriptionId),
    /// A dispute of the payment for its current period was lost.
    DisputeLost(SubscriptionId),
    /// The payment for its current period was refunded in full.
    Refunded(SubscriptionId),
}

/// Returns the entitlement that `subscriptions` give an account at `now`.
///
/// The order of the subscriptions does not matter.
pub fn entitlement(subscriptions: &[Subscription], catalog: &Catalog, now: Timestamp) -> Entitlement {
    let mut subscriptions: Vec<&Subscription> = subscriptions.iter().collect();
    subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
    let mut flags = Vec::new();
    let assessments: Vec<Assessment<'_>> =
        subscriptions.into_iter().map(|subscription| assess(subscription, catalog, now, &mut flags)).collect();

    let best = assessments
        .iter()
        .filter_map(|assessment| assessment.access.map(|access| (access, assessment)))
        .filter(|(access, _)| access.rank > 0)
        .max_by_key(|(access, _)| *access);
    let (plan, until, window_anchor, deciding) = match best {
        Some((access, assessment)) => (
            &catalog.plans()[access.rank],
            Some(access.until),
            Some(assessment.subscription.billing_cycle_anchor),
            Some(assessment),
        ),
        // Without access, the newest subscription is the one that customers ask about.
        None => {
            let newest = assessments.iter().max_by_key(|assessment| assessment.subscription.created);
            (catalog.free(), None, None, newest)
        }
    };

    Entitlement {
        tier: plan.tier.clone(),
        rank: catalog.rank(&plan.tier).unwrap_or_default(),
        features: plan.features.clone(),
        limits: plan.limits.clone(),
        reason: deciding.map_or(Reason::NoSubscription, Assessment::reason),
        until,
        window_anchor,
        flags,
    }
}

/// A tier, by its rank, up to but not including `until`. A higher tier is better, then a longer one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    rank: usize,
    until: Timestamp,
}

/// The access that one subscription gives, if any, and the deciding rule.
struct Assessment<'a> {
    subscription: &'a Subscription,
    rule: Rule,
    access: Option<Access>,
}

impl Assessment<'_> {
    fn reason(&self) -> Reason {
        Reason::Subscription {
            id: self.subscription.id.clone(),
            status: self.subscription.status.clone(),
            rule: self.rule,
        }
    }
}

fn assess<'a>(
    subscription: &'a Subscription,
    catalog: &Catalog,
    now: Timestamp,
    flags: &mut Vec<Flag>,
) -> Assessment<'a> {
    let id = || subscription.id.clone();
    let deny = |rule| Assessment { subscription, rule, access: None };

    flags.extend(subscription.flagged_reversals().into_iter().map(|kind| match kind {
        ReversalKind::Disputed => Flag::Disputed(id()),
        ReversalKind::DisputeLost => Flag::DisputeLost(id()),
        ReversalKind::Refunded => Flag::Refunded(id()),
    }));
    match &subscription.status {
        Status::Trialing | Status::Active | Status::PastDue => {}
        Status::Paused if subscription.is_unpaid() => {}
        Status::Paused if subscription.is_paused_on_request() && catalog.on_pause() == OnPause::KeepPeriod => {}
        Status::Unpaid | Status::Paused | Status::Incomplete | Status::IncompleteExpired | Status::Canceled => {
            return deny(Rule::StatusGivesNothing);
        }
        Status::Unknown(status) => {
            flags.push(Flag::UnknownStatus(id(), status.clone()));
            return deny(Rule::UnknownStatus);
        }
    }
    let (_, all_known) = subscription.tier(catalog);
    if !all_known {
        flags.push(Flag::UnknownPrice(id()));
    }

    // Each item counts by its own period: a yearly add-on does not prolong a monthly plan.
    let items: Vec<(Access, Rule)> = subscription
        .items
        .iter()
        .filter(|item| !catalog.is_metered(item.lookup_key.as_deref()))
        .filter_map(|item| {
            let known = catalog.tier_of_price(&item.price, item.lookup_key.as_deref());
            let rank = catalog.rank(known.or(subscription.last_known_tier.as_ref())?)?;
            let (rule, until) = access_end(subscription, item.period, catalog);
            Some((Access { rank: rank.min(paid_rank(subscription, catalog)), until }, rule))
        })
        .collect();
    if items.iter().any(|(access, rule)| *rule == Rule::PeriodPaid && now >= access.until) {
        flags.push(Flag::StalePeriod(id()));
    }
    match items.into_iter().max_by_key(|(access, _)| (now < access.until, *access)) {
        None => deny(Rule::UnknownPrice),
        Some((access, rule)) if now < access.until => match withheld(subscription, catalog) {
            Some(withheld) => deny(withheld),
            None => Assessment { subscription, rule, access: Some(access) },
        },
        Some((_, Rule::EndsLater)) => deny(Rule::Ended),
        Some((_, Rule::InGrace | Rule::PaidBefore)) => deny(Rule::GraceOver),
        Some((_, Rule::PausedInPeriod)) => deny(Rule::StatusGivesNothing),
        Some(_) => deny(Rule::StalePeriod),
    }
}

/// Returns the time at which an item with this period stops giving access, and the rule. The status
/// must be one that gives access.
fn access_end(subscription: &Subscription, period: Period, catalog: &Catalog) -> (Rule, Timestamp) {
    let (rule, end) = match subscription.status {
        Status::Paused if subscription.is_paused_on_request() => (Rule::PausedInPeriod, period.end),
        Status::PastDue | Status::Paused => {
            let grace_end = subscription.grace_end_of(period, catalog);
            match subscription.paid.as_ref().filter(|paid| paid.until > grace_end) {
                Some(paid) => (Rule::PaidBefore, paid.until),
                None => (Rule::InGrace, grace_end),
            }
        }
        _ => (Rule::PeriodPaid, period.end.plus_days(i64::from(catalog.grace_days()))),
    };
    match subscription.ends_at() {
        Some(at) if at <= end => (Rule::EndsLater, at),
        _ => (rule, end),
    }
}

/// Returns the rule that withholds access because the payment for the current period was taken back.
fn withheld(subscription: &Subscription, catalog: &Catalog) -> Option<Rule> {
    let rule = |kind| match kind {
        ReversalKind::Disputed | ReversalKind::DisputeLost => {
            (catalog.on_dispute() == OnDispute::Suspend).then_some(Rule::PaymentDisputed)
        }
        ReversalKind::Refunded => {
            (catalog.on_full_refund() == OnFullRefund::EndAccess).then_some(Rule::PaymentRefunded)
        }
    };
    subscription.current_reversals().find_map(rule)
}

/// Returns the highest tier's rank that a subscription can give while a payment is missing.
fn paid_rank(subscription: &Subscription, catalog: &Catalog) -> usize {
    let paid = subscription.paid.as_ref().filter(|_| subscription.is_unpaid());
    paid.and_then(|paid| catalog.rank(&paid.tier)).unwrap_or(usize::MAX)
}
