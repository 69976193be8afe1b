//! What an account may do right now, and why: one pure function.
//!
//! | Stripe status | access |
//! |---|---|
//! | `trialing`, `active` | the tier until the period's end + grace days; a period that has not moved on by then is stale: no access, flagged |
//! | … told to end | the tier until exactly then |
//! | `past_due` | the tier until the first failure + grace days |
//! | `incomplete`, `incomplete_expired`, `canceled`, `unpaid`, `paused` | none |
//! | anything else, or a price never known | none, flagged |
//!
//! Of several subscriptions the best one counts, and of one with several items the best
//! item. Proved by `tests/entitlement.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Tier};
use crate::ids::SubscriptionId;
use crate::keys::{Feature, Meter};
use crate::limit::Limit;
use crate::subscription::{Period, Status, Subscription};
use crate::time::Timestamp;

/// What an account may do, as of one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The tier that counts.
    pub tier: Tier,
    /// The tier's place in the catalogue, 0 being the lowest.
    pub rank: usize,
    /// What is open.
    pub features: BTreeSet<Feature>,
    /// How much is included per window.
    pub limits: BTreeMap<Meter, Limit>,
    /// Which subscription and which rule say so.
    pub reason: Reason,
    /// When this ends if nothing more is heard from Stripe; `None` for the free tier.
    pub until: Option<Timestamp>,
    /// Where usage windows are counted from; `None` means calendar months.
    pub window_anchor: Option<Timestamp>,
    /// What an operator should look at.
    pub flags: Vec<Flag>,
}

impl Entitlement {
    /// How much of `meter` is included per window.
    pub fn limit(&self, meter: Meter) -> Limit {
        self.limits.get(&meter).copied().unwrap_or(Limit::Finite(0))
    }
}

/// Why the tier is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// There is no subscription at all.
    NoSubscription,
    /// This subscription, in this status, by this rule.
    Subscription {
        /// Which one.
        id: SubscriptionId,
        /// Its status.
        status: Status,
        /// The rule that decided.
        rule: Rule,
    },
}

/// The rule that decided about one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rule {
    /// Paid for, or in trial: open until the period's end and the grace after it.
    PeriodPaid,
    /// Told to end, and the end has not come: open until exactly then.
    EndsLater,
    /// A payment failed and the grace runs: open until it is over.
    InGrace,
    /// A payment failed and the grace is over.
    GraceOver,
    /// Told to end, and the end has come.
    Ended,
    /// The period should have moved on by now and has not.
    StalePeriod,
    /// The status gives nothing: canceled, unpaid, paused or incomplete.
    StatusGivesNothing,
    /// The status is not one this version knows.
    UnknownStatus,
    /// None of its prices was ever in the catalogue.
    UnknownPrice,
}

impl Rule {
    /// The rule as people say it.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::PeriodPaid => "the period is paid for",
            Self::EndsLater => "it was told to end, and the end has not come",
            Self::InGrace => "a payment failed and the grace runs",
            Self::GraceOver => "a payment failed and the grace is over",
            Self::Ended => "it was told to end, and the end has come",
            Self::StalePeriod => "the period should have moved on by now and has not",
            Self::StatusGivesNothing => "the status gives nothing",
            Self::UnknownStatus => "the status is not known to this version",
            Self::UnknownPrice => "none of its prices was ever in the catalogue",
        }
    }
}

/// Something about a subscription that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flag {
    /// Its period has not moved on.
    StalePeriod(SubscriptionId),
    /// Its status is new.
    UnknownStatus(SubscriptionId, String),
    /// It has a price that the catalogue does not name.
    UnknownPrice(SubscriptionId),
}

/// What `subscriptions` give at `now`. Pure: the same arguments give the same answer, in
/// whatever order the subscriptions are listed.
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
        // Nothing is open: the newest subscription is the one that people ask about.
        None => {
            (catalog.free(), None, None, assessments.iter().max_by_key(|assessment| assessment.subscription.created))
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

/// A tier, by its rank, up to but not including `until`. The higher is the better, then the longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    rank: usize,
    until: Timestamp,
}

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
    let refuse = |rule| Assessment { subscription, rule, access: None };

    match &subscription.status {
        Status::Trialing | Status::Active | Status::PastDue => {}
        Status::Unpaid | Status::Paused | Status::Incomplete | Status::IncompleteExpired | Status::Canceled => {
            return refuse(Rule::StatusGivesNothing);
        }
        Status::Unknown(word) => {
            flags.push(Flag::UnknownStatus(id(), word.clone()));
            return refuse(Rule::UnknownStatus);
        }
    }
    let (_, all_known) = subscription.tier(catalog);
    if !all_known {
        flags.push(Flag::UnknownPrice(id()));
    }

    // Each item by its own period: a yearly add-on does not keep a monthly plan open.
    let lines: Vec<(Access, Rule)> = subscription
        .items
        .iter()
        .filter(|item| !catalog.is_metered(item.lookup_key.as_deref()))
        .filter_map(|item| {
            let known = catalog.tier_of_price(&item.price, item.lookup_key.as_deref());
            let rank = catalog.rank(known.or(subscription.last_known_tier.as_ref())?)?;
            let (rule, until) = span(subscription, item.period, catalog);
            Some((Access { rank, until }, rule))
        })
        .collect();
    if lines.iter().any(|(access, rule)| *rule == Rule::PeriodPaid && now >= access.until) {
        flags.push(Flag::StalePeriod(id()));
    }
    match lines.into_iter().max_by_key(|(access, _)| (now < access.until, *access)) {
        None => refuse(Rule::UnknownPrice),
        Some((access, rule)) if now < access.until => Assessment { subscription, rule, access: Some(access) },
        Some((_, Rule::EndsLater)) => refuse(Rule::Ended),
        Some((_, Rule::InGrace)) => refuse(Rule::GraceOver),
        Some(_) => refuse(Rule::StalePeriod),
    }
}

/// Until when an item with this period stays open in a status that opens anything, and by which rule.
fn span(subscription: &Subscription, period: Period, catalog: &Catalog) -> (Rule, Timestamp) {
    let grace = i64::from(catalog.grace_days());
    let (rule, end) = match subscription.status {
        // A failure whose time we never learned can only have come with the period.
        Status::PastDue => (Rule::InGrace, subscription.past_due_since.unwrap_or(period.start).plus_days(grace)),
        _ => (Rule::PeriodPaid, period.end.plus_days(grace)),
    };
    match subscription.ends_at() {
        Some(at) if at <= end => (Rule::EndsLater, at),
        _ => (rule, end),
    }
}
