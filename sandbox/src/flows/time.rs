//! Changes caused by time: trials end, subscriptions renew, payments are retried, pages expire.
//!
//! Invariant: changes happen in the order in which they are due, each at its own time, no matter how far the
//! clock has jumped. Proved by `a_jump_over_several_months_bills_each_month`.

use crate::error::ApiError;
use crate::flows::{change, checkout, cycle, debit, dispute, refund, schedule, subscription};
use crate::objects::{Object, Subscription};
use crate::store::Tx;
use crate::upcoming::Due;

/// Makes all changes that are due.
pub(crate) fn catch_up(tx: &mut Tx<'_>) -> Result<(), ApiError> {
    while let Some(next) = tx.next_due()
        && next.0 <= tx.now()
    {
        let (moment, due, id) = &next;
        tx.at(*moment, |tx| make_change(tx, *due, id))?;
        if tx.next_due().as_ref() == Some(&next) {
            return Err(ApiError::internal(format!("{} of {id} remains due", due.name())));
        }
    }
    Ok(())
}

fn make_change(tx: &mut Tx<'_>, due: Due, id: &str) -> Result<(), ApiError> {
    match due {
        Due::ExpireSession => checkout::expire(tx, id).map(|_| ()),
        Due::ExpireIncomplete => subscription::expire_incomplete(tx, id),
        Due::ExpirePendingUpdate => change::expire_pending(tx, id),
        Due::SettlePayment => debit::decide(tx, id).map(|_| ()),
        Due::SettleRefund => refund::decide(tx, id).map(|_| ()),
        Due::CloseDispute => dispute::decide(tx, id).map(|_| ()),
        Due::ResumeCollection => cycle::resume_collection(tx, id),
        Due::AnnounceTrialEnd => {
            let subscription = tx.update_quietly(id, |subscription: &mut Subscription| subscription.warned = true)?;
            tx.emit("customer.subscription.trial_will_end", &subscription.to_json()?, None);
            Ok(())
        }
        Due::End => subscription::end_at_schedule(tx, id),
        Due::NextPhase => schedule::advance(tx, id),
        Due::EndTrial | Due::Renew => cycle::renew(tx, id),
        Due::Finalize => cycle::finalize(tx, id),
        Due::Overdue => cycle::overdue(tx, id),
        Due::Retry => cycle::retry(tx, id),
    }
}
