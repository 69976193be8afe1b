//! What time itself causes: trials end, subscriptions renew, retries fall due, pages expire.
//!
//! Invariant: things happen in the order they were due, each at its own moment, however far
//! the clock has jumped. Proved by `a_jump_over_months_bills_each_of_them`.

use serde_json::Value;

use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::{checkout, subscription};
use crate::store::Tx;

/// How long a first payment may take.
const INCOMPLETE_LIFE: i64 = 23 * 3600;

/// One thing that falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    ExpireSession,
    ExpireIncomplete,
    WarnOfTrialEnd,
    End,
    Renew,
    Retry,
}

/// Does everything that was due by now.
pub(crate) fn catch_up(tx: &mut Tx<'_>) -> Result<(), ApiError> {
    while let Some((moment, due, id)) = earliest(tx) {
        if moment > tx.now() {
            return Ok(());
        }
        tx.at(moment, |tx| act(tx, due, &id))?;
    }
    Ok(())
}

fn act(tx: &mut Tx<'_>, due: Due, id: &str) -> Result<(), ApiError> {
    match due {
        Due::ExpireSession => checkout::expire(tx, id).map(|_| ()),
        Due::ExpireIncomplete => subscription::expire_incomplete(tx, id),
        Due::End => subscription::end(tx, id, "cancellation_requested").map(|_| ()),
        Due::Renew => subscription::renew(tx, id),
        Due::Retry => subscription::retry(tx, id),
        Due::WarnOfTrialEnd => {
            tx.quietly(id, |subscription| subscription.set("_warned", true));
            let subscription = tx.find("subscription", id)?;
            tx.emit("customer.subscription.trial_will_end", &subscription, None);
            Ok(())
        }
    }
}

fn earliest(tx: &Tx<'_>) -> Option<(i64, Due, String)> {
    let sessions = tx
        .newest("checkout.session")
        .into_iter()
        .filter(|session| session.text("status") == "open")
        .map(|session| (session.int("expires_at"), Due::ExpireSession, session));
    let subscriptions = tx
        .newest("subscription")
        .into_iter()
        .filter_map(|subscription| next_of(tx, subscription).map(|(moment, due)| (moment, due, subscription)));
    sessions
        .chain(subscriptions)
        .map(|(moment, due, object)| (moment, due, object.text("id")))
        .min()
        .map(|(moment, due, id)| (moment, due, id.to_owned()))
}

/// What falls due next for a subscription.
fn next_of(tx: &Tx<'_>, subscription: &Value) -> Option<(i64, Due)> {
    let end = subscription::current_period(subscription).1;
    let ends_at = subscription.some_int("cancel_at").map(|at| (at, Due::End));
    let next = match subscription.text("status") {
        "incomplete" => {
            return Some((subscription.int("created") + INCOMPLETE_LIFE, Due::ExpireIncomplete));
        }
        "trialing" if !subscription.flag("_warned") => {
            let warned_at = (end - 3 * DAY).max(subscription.int("created"));
            (warned_at, Due::WarnOfTrialEnd)
        }
        "trialing" | "active" => (end, Due::Renew),
        "past_due" => {
            let invoice = tx.get(subscription.text("latest_invoice"))?;
            let retry = invoice.some_int("next_payment_attempt");
            retry.map_or((end, Due::Renew), |at| (at, Due::Retry)).min((end, Due::Renew))
        }
        _ => return None,
    };
    ends_at.into_iter().chain([next]).min()
}
