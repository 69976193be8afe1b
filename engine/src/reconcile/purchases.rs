//! One-time purchases and their payments: stored differently, or not at all.
//!
//! Only sessions of our own Checkout count. The Stripe account may sell other things.

use std::collections::BTreeSet;

use billing::ledger::{Payment, Purchase};
use billing::{CustomerId, Timestamp};

use super::comparison::{Comparison, Mode};
use super::drift::Drift;
use super::unlinked;
use crate::inbox::object::Object;
use crate::store::{payments, purchases};
use crate::sync::{self, SyncContext, SyncError, SyncOutcome};

/// Compares the sessions that were created since `since`.
pub(super) async fn compare(comparison: &mut Comparison<'_>, since: Timestamp) -> Result<(), SyncError> {
    let core = comparison.core;
    let mut after: Option<String> = None;
    loop {
        let page = core.gateway().checkouts_page(since, after.as_deref()).await?;
        let mut bought = Vec::new();
        for read in page.data {
            match read {
                Ok((session, payment)) if session.attempt.is_some() => {
                    bought.extend(session.purchase.map(|purchase| (purchase, session.customer, payment)));
                }
                Ok(_) => {}
                Err(unread) => comparison.not_compared(&unread.id, &unread.error),
            }
        }
        let sessions: Vec<&str> = bought.iter().map(|(purchase, ..)| purchase.session.as_str()).collect();
        let intents: Vec<&str> = bought.iter().flat_map(|(.., payment)| payment).map(|paid| paid.id.as_str()).collect();
        let mut stored = purchases::by_sessions(core.db(), &sessions).await?;
        let mut paid = payments::by_ids(core.db(), &intents).await?;
        for (purchase, customer, payment) in &bought {
            let stored = stored.remove(&purchase.session);
            let stored_payment = payment.as_ref().and_then(|payment| paid.remove(&payment.id));
            if !is_current(stored.as_ref(), purchase) || !is_paid_alike(stored_payment.as_ref(), payment.as_ref()) {
                let repaired = repair(comparison, purchase, customer.as_ref(), stored.is_some()).await;
                comparison.skip_if_single(purchase.session.as_str(), repaired)?;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn is_current(stored: Option<&Purchase>, now: &Purchase) -> bool {
    stored.is_some_and(|stored| {
        (stored.is_paid, &stored.total, &stored.payment) == (now.is_paid, &now.total, &now.payment)
    })
}

fn is_paid_alike(stored: Option<&Payment>, now: Option<&Payment>) -> bool {
    let terms = |payment: &Payment| (payment.status.clone(), payment.amount_refunded, payment.is_disputed);
    stored.map(terms) == now.map(terms)
}

async fn repair(
    comparison: &mut Comparison<'_>,
    purchase: &Purchase,
    customer: Option<&CustomerId>,
    is_stored: bool,
) -> Result<(), SyncError> {
    let core = comparison.core;
    if let Some(customer) = customer
        && unlinked::is_known(comparison, customer).await?
    {
        return Ok(());
    }
    let wanted = BTreeSet::from([Object::CheckoutSession(purchase.session.clone())]);
    let is_ours = match comparison.mode {
        Mode::DryRun => sync::unmatched_customer(core, &wanted).await?.is_none(),
        Mode::Repair => {
            let outcome = sync::objects(core, &wanted, SyncContext::with_reason("reconcile")).await?;
            if let SyncOutcome::Unmatched(customer) = &outcome {
                unlinked::set_checked(comparison, customer).await?;
            }
            matches!(outcome, SyncOutcome::Written(_))
        }
    };
    if is_ours {
        comparison.fixed(Drift::WrongPurchase { session: purchase.session.clone(), is_stored });
    }
    Ok(())
}
