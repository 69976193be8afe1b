//! The outcome of a Checkout, for the page that Stripe redirects to.

use billing::ledger::Purchase;
use billing::{AccountId, CheckoutSessionId, SubscriptionId, Tier, Timestamp};

use super::error::CheckoutError;
use crate::core::Core;
use crate::store::{StoreError, checkouts, purchases, subscriptions};
use crate::stripe::objects::SessionStatus;
use crate::sync::{self, SyncError};

/// The outcome of a Checkout Session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckoutOutcome {
    /// The plan was bought.
    Subscribed {
        /// The plan's tier.
        tier: Tier,
        /// The end of the trial, if there is one.
        trial_end: Option<Timestamp>,
        /// When the next charge is due.
        renews_at: Timestamp,
    },
    /// The product was bought and paid.
    Bought(Purchase),
    /// The product was bought, and the payment takes days, such as a bank debit.
    PaymentPending(Purchase),
    /// The plan was bought and the payment takes days, as a bank debit does.
    PlanPending(Tier),
    /// Stripe has not confirmed the payment, or could not be reached.
    Unconfirmed,
    /// The session has not been paid, and still can be.
    Open {
        /// The Checkout page.
        url: String,
    },
    /// The session expired.
    Expired,
}

/// Reads a session's outcome from Stripe, so it does not depend on a webhook. `None` for a session that is not
/// this account's. If Stripe cannot be reached, the outcome is unconfirmed.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn outcome(
    core: &Core,
    account: &AccountId,
    session_id: &str,
) -> Result<Option<CheckoutOutcome>, CheckoutError> {
    let Some(id) = own_session(core, account, session_id).await? else { return Ok(None) };
    let session = match sync::checkout_session(core, &id).await {
        Ok(Some(session)) => session,
        Ok(None) => return Ok(None),
        Err(SyncError::Store(error)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "could not fetch a Checkout Session for its success page");
            return Ok(Some(CheckoutOutcome::Unconfirmed));
        }
    };
    Ok(Some(match (session.status, session.url, session.subscription) {
        (SessionStatus::Expired, ..) => CheckoutOutcome::Expired,
        (SessionStatus::Open, Some(url), _) => CheckoutOutcome::Open { url },
        (SessionStatus::Complete, _, Some(subscription)) if session.is_paid => {
            subscribed(core, &subscription).await?.unwrap_or(CheckoutOutcome::Unconfirmed)
        }
        (SessionStatus::Complete, _, Some(subscription)) => {
            let stored = subscriptions::by_id(core.db(), &subscription).await?.map(|stored| stored.object);
            let tier = stored.and_then(|subscription| subscription.tier(core.catalog()).0.cloned());
            tier.map_or(CheckoutOutcome::Unconfirmed, CheckoutOutcome::PlanPending)
        }
        (SessionStatus::Complete, _, None) => match purchases::by_session(core.db(), &id).await? {
            Some(purchase) if session.is_paid => CheckoutOutcome::Bought(purchase.object),
            Some(purchase) => CheckoutOutcome::PaymentPending(purchase.object),
            None => CheckoutOutcome::Unconfirmed,
        },
        _ => CheckoutOutcome::Unconfirmed,
    }))
}

/// Reads a session's outcome without a request to Stripe: unconfirmed, unless its purchase is stored. `None` for a
/// session that is not this account's.
pub async fn stored_outcome(
    core: &Core,
    account: &AccountId,
    session_id: &str,
) -> Result<Option<CheckoutOutcome>, StoreError> {
    let Some(id) = own_session(core, account, session_id).await? else { return Ok(None) };
    Ok(Some(match purchases::by_session(core.db(), &id).await? {
        Some(purchase) if purchase.object.is_paid => CheckoutOutcome::Bought(purchase.object),
        Some(purchase) => CheckoutOutcome::PaymentPending(purchase.object),
        None => CheckoutOutcome::Unconfirmed,
    }))
}

/// Returns the id of a session, if an attempt of this account opened it.
async fn own_session(
    core: &Core,
    account: &AccountId,
    session_id: &str,
) -> Result<Option<CheckoutSessionId>, StoreError> {
    if !session_id.starts_with("cs_") || !session_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(None);
    }
    let id = CheckoutSessionId::new(session_id);
    let attempt = checkouts::by_session(core.db(), &id).await?;
    Ok(attempt.is_some_and(|attempt| attempt.account_id == *account).then_some(id))
}

async fn subscribed(core: &Core, id: &SubscriptionId) -> Result<Option<CheckoutOutcome>, StoreError> {
    let Some(stored) = subscriptions::by_id(core.db(), id).await? else { return Ok(None) };
    let subscription = stored.object;
    let (tier, _) = subscription.tier(core.catalog());
    Ok(tier.map(|tier| CheckoutOutcome::Subscribed {
        tier: tier.clone(),
        trial_end: subscription.trial_end.filter(|end| *end > core.now()),
        renews_at: subscription.period().end,
    }))
}
