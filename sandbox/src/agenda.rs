//! What falls due, and when: read from each object alone.
//!
//! Invariant: [`of`] depends on nothing but the object, so that the store can keep the agenda as
//! an index, and finding what is next costs the same however much there is. The order of
//! [`Due`] decides between things that fall due in the same second.

use serde_json::Value;

use crate::clock::{DAY, HOUR};
use crate::fields::Fields;

/// How long a first payment, or the payment of a pending update, may take.
pub(crate) const INCOMPLETE_LIFE: i64 = 23 * HOUR;
/// How long before its end a trial is announced to end.
const TRIAL_WARNING: i64 = 3 * DAY;

/// One thing that falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Due {
    ExpireSession,
    ExpireIncomplete,
    ExpirePendingUpdate,
    SettlePayment,
    SettleRefund,
    CloseDispute,
    ResumeCollection,
    WarnOfTrialEnd,
    End,
    NextPhase,
    EndTrial,
    Renew,
    Finalize,
    Overdue,
    Retry,
}

impl Due {
    /// All of them, in the order of the enum.
    pub(crate) const ALL: [Self; 15] = [
        Self::ExpireSession,
        Self::ExpireIncomplete,
        Self::ExpirePendingUpdate,
        Self::SettlePayment,
        Self::SettleRefund,
        Self::CloseDispute,
        Self::ResumeCollection,
        Self::WarnOfTrialEnd,
        Self::End,
        Self::NextPhase,
        Self::EndTrial,
        Self::Renew,
        Self::Finalize,
        Self::Overdue,
        Self::Retry,
    ];

    /// Its name in the control API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ExpireSession => "checkout_expiry",
            Self::ExpireIncomplete => "incomplete_expiry",
            Self::ExpirePendingUpdate => "pending_update_expiry",
            Self::SettlePayment => "settlement",
            Self::SettleRefund => "refund",
            Self::CloseDispute => "dispute",
            Self::ResumeCollection => "collection",
            Self::WarnOfTrialEnd => "trial_warning",
            Self::End => "end",
            Self::NextPhase => "phase",
            Self::EndTrial => "trial_end",
            Self::Renew => "renewal",
            Self::Finalize => "finalization",
            Self::Overdue => "due_date",
            Self::Retry => "retry",
        }
    }

    /// What happens then, as the control page says it.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::ExpireSession => "Checkout expires",
            Self::ExpireIncomplete => "first payment is given up",
            Self::ExpirePendingUpdate => "pending update is given up",
            Self::SettlePayment => "bank debit settles or fails",
            Self::SettleRefund => "refund settles or fails",
            Self::CloseDispute => "dispute closes",
            Self::ResumeCollection => "collection resumes",
            Self::WarnOfTrialEnd => "trial is announced to end",
            Self::End => "subscription ends",
            Self::NextPhase => "schedule's next phase",
            Self::EndTrial => "trial ends",
            Self::Renew => "subscription renews",
            Self::Finalize => "invoice is finalized",
            Self::Overdue => "invoice is past its due date",
            Self::Retry => "payment is tried again",
        }
    }
}

/// What falls due next for an object: the moment in seconds, and what.
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
        "incomplete" => return Some((created + INCOMPLETE_LIFE, Due::ExpireIncomplete)),
        "trialing" if !subscription.flag("_warned") => {
            Some(((end - TRIAL_WARNING).max(created), Due::WarnOfTrialEnd).min((end, Due::EndTrial)))
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
