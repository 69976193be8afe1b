//! One trial a person: by account, by canonical e-mail and by card.
//!
//! Who has had a trial is asked before Checkout, but the card is known only after it, and two
//! Checkouts can be under way at once. So whoever is second is found out when the subscription is
//! written: its trial ends there and then, as the Checkout page has said. Only trials of our own
//! Checkout are held to this. One that an operator gives at Stripe is nobody's but the operator's: it
//! ends no other, whichever is heard of first, and it is not ended; but whoever had it is offered none
//! any more (`tests/http/trial.rs`).

use billing::{AccountId, Status, Subscription, Timestamp};

use crate::store::subscriptions::{self, TrialClaim};
use crate::store::{StoreError, Tx, accounts};
use crate::stripe::shape::SubscriptionShape;

/// What the Checkout page says about it.
pub(crate) const TERMS: &str =
    "One free trial per person and card. If this card has had one, the plan begins today and is charged at once.";

/// Remembers whose trial this is. `false`: it is somebody's second one and has to end.
pub(super) async fn claim(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    shape: &SubscriptionShape,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if subscription.trial_end.is_none() {
        return Ok(true);
    }
    let email = accounts::owner_canonical_email(tx, account).await?.map(TrialClaim::Email);
    let card = shape.card.clone().map(TrialClaim::Card);
    let claims = [Some(TrialClaim::Account(account.clone())), email, card].into_iter().flatten();
    if shape.attempt.is_none() {
        let given: Vec<TrialClaim> = claims.map(|claim| TrialClaim::Given(Box::new(claim))).collect();
        subscriptions::claim_trial(tx, &given, &subscription.id, now).await?;
        return Ok(true);
    }
    let claims: Vec<TrialClaim> = claims.collect();
    subscriptions::claim_trial(tx, &claims, &subscription.id, now).await?;
    if subscription.status != Status::Trialing {
        return Ok(true);
    }
    for claim in &claims {
        if subscriptions::trial_holder(tx, claim).await?.is_some_and(|holder| holder != subscription.id) {
            return Ok(false);
        }
    }
    Ok(true)
}
