//! Checkout attempts and their sessions in Stripe.

use billing::{AccountId, CheckoutSessionId, Timestamp};

use super::error::CheckoutError;
use crate::core::Core;
use crate::idempotency_key::Key;
use crate::store::checkouts::{self, Attempt, AttemptStatus, CheckoutItem, OpenSession};
use crate::stripe::GatewayError;
use crate::stripe::checkout_sessions::{NewCheckout, Sale, Trial};
use crate::stripe::objects::{CheckoutSession, ObjectError, SessionStatus};
use crate::sync;

/// Creates the attempt's session in Stripe, or finds the one that was created for it, and returns
/// its address. `None` for a session that was found after a Stripe failure and must be fetched again.
pub(super) async fn open_session(core: &Core, attempt: &Attempt) -> Result<Option<String>, CheckoutError> {
    let mut key = key(core, attempt).await?;
    if let Some(since) = key.failing_since(core.now()) {
        if let Some(session) = created_before(core, attempt, since).await? {
            keep_found(core, attempt, session).await?;
            return Ok(None);
        }
        key = key.renewed(core).await?;
    }
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
    let created = core.gateway().create_checkout(&checkout, &key.to_string()).await;
    let session = match key.settle::<_, CheckoutError>(core, created).await {
        Ok(session) => session,
        Err(error) => {
            // Stripe repeats a final error for as long as it remembers the key, so the next
            // click needs a new attempt.
            if matches!(&error, CheckoutError::Stripe(error) if error.is_final()) {
                close(core, attempt, AttemptStatus::Failed).await?;
            }
            return Err(error.of_purchase(attempt));
        }
    };
    let missing = GatewayError::Object(ObjectError { object: "checkout.session", field: "url" });
    keep(core, attempt, session.id, session.url.ok_or(missing)?).await.map(Some)
}

/// Stores the session of an attempt, and returns its address.
async fn keep(core: &Core, attempt: &Attempt, id: CheckoutSessionId, url: String) -> Result<String, CheckoutError> {
    let session = OpenSession { id, url };
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

/// Stores a session that was found in Stripe, which may have ended.
async fn keep_found(core: &Core, attempt: &Attempt, session: CheckoutSession) -> Result<(), CheckoutError> {
    keep(core, attempt, session.id, session.url.unwrap_or_default()).await.map(drop)
}

async fn close(core: &Core, attempt: &Attempt, status: AttemptStatus) -> Result<(), CheckoutError> {
    let mut tx = core.db().begin().await?;
    checkouts::close(&mut tx, &attempt.id, status).await?;
    Ok(tx.commit().await?)
}

async fn key(core: &Core, attempt: &Attempt) -> Result<Key, CheckoutError> {
    Ok(Key::of(core, format!("checkout:{}", attempt.id)).await?)
}

/// Finds the session that was created by a request whose response was lost.
async fn created_before(
    core: &Core,
    attempt: &Attempt,
    failed_since: Timestamp,
) -> Result<Option<CheckoutSession>, GatewayError> {
    core.gateway().checkout_of_attempt(&attempt.customer_id, &attempt.id, failed_since).await
}

/// Closes an attempt, after its session: a session that could still be paid after its attempt is closed could
/// become a second purchase. An attempt whose session is not known may still have one in Stripe; it is found by
/// a retry with its key or, once that keeps failing, by listing the customer's sessions.
pub(super) async fn supersede(core: &Core, attempt: &Attempt) -> Result<(), CheckoutError> {
    let Some(session) = &attempt.session else {
        let opened = match key(core, attempt).await?.failing_since(core.now()) {
            None => open_session(core, attempt).await.map(drop),
            Some(since) => match created_before(core, attempt, since).await? {
                None => return close(core, attempt, AttemptStatus::Superseded).await,
                Some(session) => keep_found(core, attempt, session).await,
            },
        };
        return match opened {
            // It has a session now, or is closed: the next round finds out which.
            Ok(()) | Err(CheckoutError::InProgress) => Ok(()),
            Err(CheckoutError::Stripe(error)) if error.is_final() => Ok(()),
            Err(error) => Err(error),
        };
    };
    expire(core, &session.id).await?;
    close(core, attempt, AttemptStatus::Superseded).await
}

/// Closes every open Checkout of the account, so that nothing more can be bought for it. One that was just
/// paid has become a subscription. Checkouts closed before an error stay closed.
pub async fn close_all(core: &Core, account: &AccountId) -> Result<(), CheckoutError> {
    // An attempt whose session is not known takes two rounds.
    for _ in 0..2 {
        for attempt in checkouts::all_open(core.db(), account).await? {
            match supersede(core, &attempt).await {
                Ok(()) | Err(CheckoutError::AlreadySubscribed) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Expires a session in Stripe. One that was just paid has become a subscription instead.
async fn expire(core: &Core, session: &CheckoutSessionId) -> Result<(), CheckoutError> {
    match core.gateway().expire_checkout_session(session).await {
        Ok(_) => Ok(()),
        Err(GatewayError::Rejected { .. }) => match sync::checkout_session(core, session).await? {
            Some(CheckoutSession { status: SessionStatus::Complete, subscription: Some(_), .. }) => {
                Err(CheckoutError::AlreadySubscribed)
            }
            _ => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}
