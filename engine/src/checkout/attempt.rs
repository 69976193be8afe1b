//! Checkout attempts and their sessions at Stripe.

use billing::{AccountId, CheckoutSessionId};

use super::error::CheckoutError;
use crate::core::Core;
use crate::store::checkouts::{self, Attempt, AttemptStatus, CheckoutItem, OpenSession};
use crate::stripe::GatewayError;
use crate::stripe::checkout_sessions::{NewCheckout, Sale, Trial};
use crate::stripe::objects::{CheckoutSession, ObjectError, SessionStatus};
use crate::sync;

/// Creates the attempt's session at Stripe, or finds the one that was created for it, and returns
/// its address.
pub(super) async fn open_session(core: &Core, attempt: &Attempt) -> Result<String, CheckoutError> {
    let urls = core.urls();
    let (sale, cancel_url) = match &attempt.item {
        CheckoutItem::Plan(_) => {
            let has_trial = attempt.trial_days > 0;
            let trial = has_trial.then_some(Trial { days: attempt.trial_days, terms: sync::TRIAL_TERMS });
            (Sale::Plan { trial }, &urls.cancel_plan)
        }
        CheckoutItem::Product(key) => (Sale::Product { key }, &urls.cancel_product),
    };
    let checkout = NewCheckout {
        attempt: &attempt.id,
        customer: &attempt.customer_id,
        account: &attempt.account_id,
        price: &attempt.price_id,
        metered: &attempt.metered,
        sale,
        success_url: &urls.success_for_stripe(),
        cancel_url: cancel_url.as_str(),
    };
    let session = match core.gateway().create_checkout(&checkout).await {
        Ok(session) => session,
        Err(error) => {
            // Stripe repeats a final error for as long as it remembers the key, so the next
            // click needs a new attempt.
            if error.is_final() {
                let mut tx = core.db().begin().await?;
                checkouts::close(&mut tx, &attempt.id, AttemptStatus::Failed).await?;
                tx.commit().await?;
            }
            return Err(error.into());
        }
    };
    let missing = GatewayError::Object(ObjectError { object: "checkout.session", field: "url" });
    let session = OpenSession { id: session.id, url: session.url.ok_or(missing)? };
    let mut tx = core.db().begin().await?;
    let is_open = checkouts::set_open(&mut tx, &attempt.id, &session).await?;
    tx.commit().await?;
    if is_open {
        return Ok(session.url);
    }
    // A later choice has replaced this attempt.
    expire(core, &session.id).await?;
    Err(CheckoutError::InProgress)
}

/// Closes an attempt, its session first: if the session could still be paid after the attempt is closed,
/// it could become a second purchase. An attempt whose session is not known may still have one at Stripe;
/// a retry with its key finds it.
pub(super) async fn supersede(core: &Core, attempt: &Attempt) -> Result<(), CheckoutError> {
    let Some(session) = &attempt.session else {
        return match open_session(core, attempt).await {
            // It has a session now, or is closed: the next round finds out which.
            Ok(_) | Err(CheckoutError::InProgress) => Ok(()),
            Err(CheckoutError::Stripe(error)) if error.is_final() => Ok(()),
            Err(error) => Err(error),
        };
    };
    expire(core, &session.id).await?;
    let mut tx = core.db().begin().await?;
    checkouts::close(&mut tx, &attempt.id, AttemptStatus::Superseded).await?;
    tx.commit().await?;
    Ok(())
}

/// Closes every open Checkout of the account, so that nothing more can be bought for it. Checkouts closed
/// before an error stay closed.
pub async fn close_all(core: &Core, account: &AccountId) -> Result<(), CheckoutError> {
    // An attempt whose session is not known takes two rounds.
    for _ in 0..2 {
        for attempt in checkouts::all_open(core.db(), account).await? {
            supersede(core, &attempt).await?;
        }
    }
    Ok(())
}

/// Expires a session at Stripe. One that was just paid has become a subscription instead.
async fn expire(core: &Core, session: &CheckoutSessionId) -> Result<(), CheckoutError> {
    match core.gateway().expire_checkout_session(session).await {
        Ok(_) => Ok(()),
        Err(GatewayError::Refused { .. }) => match sync::checkout_session(core, session).await? {
            Some(CheckoutSession { status: SessionStatus::Complete, subscription: Some(_), .. }) => {
                Err(CheckoutError::AlreadySubscribed)
            }
            _ => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}
