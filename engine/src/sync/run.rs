//! Bringing objects up to date: fetch, write, and repeat if another process wrote in between.

use std::collections::BTreeSet;

use billing::{CheckoutSessionId, CustomerId, Subscription, SubscriptionId};

use super::collect;
use super::fetch::{self, Fetched};
use super::outcome::{SyncContext, SyncError, SyncOutcome};
use super::remembered::is_current;
use super::write::{self, Written};
use crate::core::Core;
use crate::idempotency_key::Key;
use crate::inbox::object::Object;
use crate::store::{inbox, subscriptions};
use crate::stripe::objects::CheckoutSession;

/// The maximum number of rounds; a round is repeated if another process wrote in between.
const ROUNDS: usize = 8;

/// Brings objects and those they refer to up to date: all of them, or none on an error.
pub async fn objects(
    core: &Core,
    objects: &BTreeSet<Object>,
    context: SyncContext<'_>,
) -> Result<SyncOutcome, SyncError> {
    sync(core, objects, context).await.map(|(outcome, _)| outcome)
}

#[tracing::instrument(skip_all, fields(objects = objects.iter().map(Object::id).collect::<Vec<_>>().join(",")))]
async fn sync(
    core: &Core,
    objects: &BTreeSet<Object>,
    context: SyncContext<'_>,
) -> Result<(SyncOutcome, Fetched), SyncError> {
    // Events about other objects, such as invoices, bring no new payment method.
    let has_payer = objects.iter().any(|object| matches!(object, Object::Customer(_) | Object::Subscription(_)));
    let mut collects = context.collects && has_payer;
    for _ in 0..ROUNDS {
        let mut fetched = fetch::all(core, objects, collects).await?;
        if collects && collect::collect(core, &fetched).await? {
            fetched = fetch::all(core, objects, collects).await?;
        }
        collects = false;
        if context.retries_missing && !fetched.missing.is_empty() {
            return Err(SyncError::Missing(fetched.missing.join(", ")));
        }
        // Before anything else: a concurrent link must find every event that waits for it.
        if let (Some(customer), false) = (fetched.customer(), context.without_customer.is_empty()) {
            inbox::set_customer(core.db(), context.without_customer, customer).await?;
        }
        match write::all(core, &fetched, &context).await? {
            Written::Done(outcome) => return Ok((outcome, fetched)),
            Written::Raced => {}
            Written::LeaseLost(event) => return Err(SyncError::LeaseLost(event)),
            Written::SecondTrial(id) => {
                tracing::warn!(subscription = %id, "{id} is a second trial of the same person; ending it");
                end_trial(core, &id).await?;
            }
        }
    }
    let names: Vec<&str> = objects.iter().map(Object::id).collect();
    Err(SyncError::Contended(names.join(", ")))
}

/// Ends a trial. Stripe has confirmed that it still runs, so any idempotency key will do.
async fn end_trial(core: &Core, id: &SubscriptionId) -> Result<(), SyncError> {
    let key = Key::renewed_if_failing(core, format!("end-trial:{id}")).await?;
    let ended = core.gateway().end_trial(id, &key.to_string()).await;
    key.settle(core, ended).await
}

/// Returns the customer of the objects, if [`objects`] would find no account that owns it. Nothing is
/// written.
pub async fn unmatched_customer(core: &Core, objects: &BTreeSet<Object>) -> Result<Option<CustomerId>, SyncError> {
    let fetched = fetch::all(core, objects, false).await?;
    Ok(write::unmatched_customer(core, &fetched).await?)
}

/// Brings one subscription up to date.
pub async fn subscription(
    core: &Core,
    id: &SubscriptionId,
    context: SyncContext<'_>,
) -> Result<SyncOutcome, SyncError> {
    objects(core, &BTreeSet::from([Object::Subscription(id.clone())]), context).await
}

/// Brings a Checkout Session's results and its attempt up to date, and returns the session in Stripe;
/// `None` for one that Stripe does not have.
pub async fn checkout_session(core: &Core, id: &CheckoutSessionId) -> Result<Option<CheckoutSession>, SyncError> {
    let wanted = BTreeSet::from([Object::CheckoutSession(id.clone())]);
    let (_, mut fetched) = sync(core, &wanted, SyncContext::with_reason("checkout")).await?;
    Ok(fetched.sessions.pop().map(|fresh| fresh.now))
}

/// Reads all subscriptions of a customer from Stripe's own list, and brings those that are stored
/// differently up to date.
pub async fn all_of_customer(core: &Core, customer: &CustomerId) -> Result<Vec<Subscription>, SyncError> {
    let listed = core.gateway().subscriptions_of(customer).await?;
    let ids: Vec<&str> = listed.iter().map(|listed| listed.subscription.id.as_str()).collect();
    let mut stored = subscriptions::by_ids(core.db(), &ids).await?;
    for listed in &listed {
        let id = &listed.subscription.id;
        let stored = stored.remove(id).transpose()?.map(|stored| stored.object);
        // A list does not contain what is owed.
        if listed.subscription.owes() || !is_current(stored.as_ref(), listed, core.catalog()) {
            subscription(core, id, SyncContext::with_reason("purchase")).await?;
        }
    }
    Ok(listed.into_iter().map(|listed| listed.subscription).collect())
}
