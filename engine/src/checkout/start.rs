//! Starting a purchase: finding or creating its Checkout Session.

use billing::{AccountId, CheckoutSessionId, CustomerId, Subscription};

use super::attempt::{open_session, supersede};
use super::customer::live_customer;
use super::error::CheckoutError;
use super::offer::{Offer, OfferPrices};
use super::orphan::reject_orphaned;
use crate::core::Core;
use crate::store::checkouts::{Attempt, AttemptStatus, CheckoutItem};
use crate::store::{accounts, checkouts, subscriptions};
use crate::stripe::objects::{CheckoutSession, SessionStatus};
use crate::stripe_account;
use crate::sync;
use crate::{ids, overview};

/// The maximum number of rounds. Each round returns a session or removes one obstacle, and a purchase
/// started by another request takes two. Twelve leave room for five concurrent ones, each of which may
/// have been abandoned halfway.
const ROUNDS: usize = 12;

/// Starts the purchase of a plan, and returns the address of Stripe's Checkout page.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn start_subscription(
    core: &Core,
    account: &AccountId,
    plan: &str,
    interval: &str,
) -> Result<String, CheckoutError> {
    let offer = Offer::plan(core.catalog(), plan, interval)?;
    stripe_account::verify(core).await?;
    let stored = subscriptions::of_account(core.db(), account).await?;
    reject_second(&stored)?;
    if stored.is_empty() {
        reject_orphaned(core, account).await?;
    }
    let customer = live_customer(core, account).await?;
    reject_second(&sync::all_of_customer(core, &customer).await?)?;
    session_for(core, account, &customer, &offer).await
}

/// Starts the purchase of a product, and returns the address of Stripe's Checkout page.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn start_purchase(core: &Core, account: &AccountId, product: &str) -> Result<String, CheckoutError> {
    let offer = Offer::product(core.catalog(), product)?;
    let customer = live_customer(core, account).await?;
    session_for(core, account, &customer, &offer).await
}

/// Finds or creates the session for an offer, after closing conflicting attempts.
async fn session_for(
    core: &Core,
    account: &AccountId,
    customer: &CustomerId,
    offer: &Offer<'_>,
) -> Result<String, CheckoutError> {
    let prices = offer.prices(core).await?;
    for _ in 0..ROUNDS {
        let url = match attempt_for(core, account, customer, &offer.item(), &prices).await? {
            OpenAttempt::Same(attempt) => match &attempt.session {
                Some(session) => reuse(core, &session.id, offer).await?,
                None => open_session(core, &attempt).await?,
            },
            OpenAttempt::Other(attempt) => {
                supersede(core, &attempt).await?;
                None
            }
        };
        if let Some(url) = url {
            return Ok(url);
        }
    }
    Err(CheckoutError::InProgress)
}

fn reject_second(subscriptions: &[Subscription]) -> Result<(), CheckoutError> {
    if subscriptions.iter().any(|subscription| !subscription.status.has_ended()) {
        return Err(CheckoutError::AlreadySubscribed);
    }
    Ok(())
}

/// The account's open attempt, which may be for another purchase.
enum OpenAttempt {
    /// An attempt for the same purchase, existing or new.
    Same(Attempt),
    /// An attempt for another purchase.
    Other(Attempt),
}

/// Finds the account's open attempt, or stores a new one.
async fn attempt_for(
    core: &Core,
    account: &AccountId,
    customer: &CustomerId,
    item: &CheckoutItem,
    prices: &OfferPrices,
) -> Result<OpenAttempt, CheckoutError> {
    let is_plan = matches!(item, CheckoutItem::Plan(_));
    let has_trial = is_plan && overview::trial_available(core, account).await?;
    let trial_days = if has_trial { core.catalog().trial_days() } else { 0 };
    let mut tx = core.db().begin().await?;
    if !accounts::lock(&mut tx, account).await? {
        return Err(CheckoutError::Closed);
    }
    if is_plan {
        reject_second(&subscriptions::of_account_in(&mut tx, account).await?)?;
    }
    let attempt = Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        customer_id: customer.clone(),
        item: item.clone(),
        price_id: prices.price.clone(),
        metered: prices.metered.clone(),
        trial_days,
        status: AttemptStatus::Creating,
        session: None,
    };
    if let Some(open) = checkouts::open_for(&mut tx, account, item).await? {
        return Ok(if open.is_same_request(&attempt) { OpenAttempt::Same(open) } else { OpenAttempt::Other(open) });
    }
    checkouts::insert(&mut tx, &attempt, core.now()).await?;
    tx.commit().await?;
    Ok(OpenAttempt::Same(attempt))
}

/// Returns the address of an open session. If the session can no longer be paid, its attempt is
/// closed, and the result is `None`.
async fn reuse(core: &Core, session: &CheckoutSessionId, offer: &Offer<'_>) -> Result<Option<String>, CheckoutError> {
    match sync::checkout_session(core, session).await? {
        Some(CheckoutSession { status: SessionStatus::Open, url: Some(url), .. }) => Ok(Some(url)),
        Some(CheckoutSession { status: SessionStatus::Complete, .. }) => Err(match offer {
            Offer::Plan(..) => CheckoutError::AlreadySubscribed,
            Offer::Product(_) => CheckoutError::JustBought(session.clone()),
        }),
        _ => {
            let mut tx = core.db().begin().await?;
            checkouts::close_session(&mut tx, session, AttemptStatus::Expired).await?;
            tx.commit().await?;
            Ok(None)
        }
    }
}
