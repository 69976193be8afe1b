//! One trial per person: by account, by canonical e-mail and by payment method.
//!
//! Earlier trials are looked up before Checkout, but the card is known only after it, and two Checkouts
//! can be in progress at the same time. So a second trial is detected when the subscription is written:
//! it is ended immediately, as the Checkout page announces. That applies only to trials from our own
//! Checkout. A trial that an operator grants in Stripe ends no other and is not ended, whichever
//! arrives first; but its customer is offered no further trial (`tests/http/trial.rs`).

use billing::{AccountId, Status, Subscription, Timestamp};

use crate::store::trials::{self, TrialClaim};
use crate::store::{StoreError, Tx, accounts};
use crate::stripe::objects::{PayerIdentity, SubscriptionObject};

/// The text about this on the Checkout page.
pub const TERMS: &str =
    "One free trial per person and card. If this card has had one, the plan starts today and is charged right away.";

/// Records a trial's claims. `false` if it is a second trial and has to end.
pub(super) async fn claim(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    fetched: &SubscriptionObject,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if subscription.trial_end.is_none() {
        return Ok(true);
    }
    let contact = accounts::contact_in(tx, account).await?;
    let email = contact.map(|contact| TrialClaim::Email(contact.email_canonical));
    let payer = fetched.payer.iter().cloned().map(|identity| match identity {
        PayerIdentity::Card(fingerprint) => TrialClaim::Card(fingerprint),
        PayerIdentity::Email(canonical) => TrialClaim::Email(canonical),
        PayerIdentity::Account(id) => TrialClaim::PaymentAccount(id),
    });
    let claims = [Some(TrialClaim::Account(account.clone())), email].into_iter().flatten().chain(payer);
    if fetched.attempt.is_none() {
        let granted: Vec<TrialClaim> = claims.map(|claim| TrialClaim::Granted(Box::new(claim))).collect();
        trials::claim(tx, &granted, &subscription.id, now).await?;
        return Ok(true);
    }
    let claims: Vec<TrialClaim> = claims.collect();
    trials::claim(tx, &claims, &subscription.id, now).await?;
    if subscription.status != Status::Trialing {
        return Ok(true);
    }
    for claim in &claims {
        if trials::holder(tx, claim).await?.is_some_and(|holder| holder != subscription.id) {
            return Ok(false);
        }
    }
    Ok(true)
}
