//! Upcoming changes caused by time, derived from each object.
//!
//! Invariant: [`of`] depends only on the object, so that the store can index upcoming changes and
//! find the next one quickly regardless of the number of objects. Changes that are due in the same
//! second happen in the order of [`Due`].

use serde_json::Value;

use crate::clock::{DAY, HOUR};
use crate::fields::Fields;

/// The time limit for a first payment, or for the payment of a pending update.
pub(crate) const INCOMPLETE_TTL: i64 = 23 * HOUR;
/// The time before the end of a trial at which `trial_will_end` is sent.
const TRIAL_WARNING: i64 = 3 * DAY;

/// A change that time causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Due {
    ExpireSession,
    ExpireIncomplete,
    ExpirePendingUpdate,
    SettlePayment,
    SettleRefund,
    CloseDispute,
    ResumeCollection,
    AnnounceTrialEnd,
    End,
    NextPhase,
    EndTrial,
    Renew,
    Finalize,
    Overdue,
    Retry,
}

impl Due {
    /// All variants, in order.
    pub(crate) const ALL: [Self; 15] = [
        Self::ExpireSession,
        Self::ExpireIncomplete,
        Self::ExpirePendingUpdate,
        Self::SettlePayment,
        Self::SettleRefund,
        Self::CloseDispute,
        Self::ResumeCollection,
        Self::AnnounceTrialEnd,
        Self::End,
        Self::NextPhase,
        Self::EndTrial,
        Self::Renew,
        Self::Finalize,
        Self::Overdue,
        Self::Retry,
    ];

    /// Returns the name used in the control API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ExpireSession => "checkout_expiry",
            Self::ExpireIncomplete => "incomplete_expiry",
            Self::ExpirePendingUpdate => "pending_update_expiry",
            Self::SettlePayment => "settlement",
            Self::SettleRefund => "refund",
            Self::CloseDispute => "dispute",
            Self::ResumeCollection => "collection",
            Self::AnnounceTrialEnd => "trial_warning",
            Self::End => "end",
            Self::NextPhase => "phase",
            Self::EndTrial => "trial_end",
            Self::Renew => "renewal",
            Self::Finalize => "finalization",
            Self::Overdue => "due_date",
            Self::Retry => "retry",
        }
    }

    /// Returns the description shown on the control page.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::ExpireSession => "Checkout expires",
            Self::ExpireIncomplete => "incomplete subscription expires",
            Self::ExpirePendingUpdate => "pending update expires",
            Self::SettlePayment => "bank debit settles or fails",
            Self::SettleRefund => "refund settles or fails",
            Self::CloseDispute => "dispute closes",
            Self::ResumeCollection => "collection resumes",
            Self::AnnounceTrialEnd => "end of trial is announced",
            Self::End => "subscription ends",
            Self::NextPhase => "schedule enters its next phase",
            Self::EndTrial => "trial ends",
            Self::Renew => "subscription renews",
            Self::Finalize => "invoice is finalized",
            Self::Overdue => "invoice becomes overdue",
            Self::Retry => "payment is retried",
        }
    }
}

/// Returns the next upcoming change of an object, and its time in seconds.
pub(crate) fn of(object: &Value) -> Option<(i64, Due)> {
    match object.text("object") {
        "checkout.session" if object.text("status") == "open" => Some((object.int("expires_at"), Due::ExpireSession)),
        "subscription" => of_subscription(object),
        "subscription_schedule" => of_schedule(object),
        "invoice" => of_invoice(object),
        "payment_intent" if object.text("status") == "processing" => at(object, "_settles_at", Due::SettlePayment),
        "refund" => at(object, "_settles_at", Due::SettleRefund),
        "dispute" => at(object, "_closes_at", Due::CloseDispute),
        _ => None,
    }
}

fn at(object: &Value, field: &str, due: Due) -> Option<(i64, Due)> {
    object.some_int(field).map(|moment| (moment, due))
}

fn of_subscription(subscription: &Value) -> Option<(i64, Due)> {
    let end = subscription.data("items").first().map_or(0, |item| item.int("current_period_end"));
    let (created, status) = (subscription.int("created"), subscription.text("status"));
    let by_status = match status {
        "canceled" | "incomplete_expired" => return None,
        "incomplete" => return Some((created + INCOMPLETE_TTL, Due::ExpireIncomplete)),
        "trialing" if !subscription.flag("_warned") => {
            Some(((end - TRIAL_WARNING).max(created), Due::AnnounceTrialEnd).min((end, Due::EndTrial)))
        }
        "trialing" => Some((end, Due::EndTrial)),
        "paused" => None,
        _ => Some((end, Due::Renew)),
    };
    let others = [
        at(subscription, "cancel_at", Due::End),
        at(&subscription["pause_collection"], "resumes_at", Due::ResumeCollection),
        at(&subscription["pending_update"], "expires_at", Due::ExpirePendingUpdate),
    ];
    by_status.into_iter().chain(others.into_iter().flatten()).min()
}

fn of_schedule(schedule: &Value) -> Option<(i64, Due)> {
    match schedule.text("status") {
        "not_started" => at(schedule.list("phases").first()?, "start_date", Due::NextPhase),
        "active" => at(&schedule["current_phase"], "end_date", Due::NextPhase),
        _ => None,
    }
}

fn of_invoice(invoice: &Value) -> Option<(i64, Due)> {
    let overdue = at(invoice, "due_date", Due::Overdue).filter(|_| !invoice.flag("_overdue"));
    match invoice.text("status") {
        "draft" => at(invoice, "automatically_finalizes_at", Due::Finalize),
        "open" => overdue.into_iter().chain(at(invoice, "next_payment_attempt", Due::Retry)).min(),
        _ => None,
    }
}
