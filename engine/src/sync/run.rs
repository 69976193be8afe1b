//! Bringing objects up to date: fetch, write, and again if another process wrote in between.

use std::collections::BTreeSet;

use billing::{CheckoutSessionId, CustomerId, Subscription, SubscriptionId};

use super::fetch::{self, Fetched};
use super::outcome::{SyncContext, SyncError, SyncOutcome};
use super::remembered::is_current;
use super::write::{self, Written};
use crate::core::Core;
use crate::inbox::object::Object;
use crate::store::{inbox, subscriptions};
use crate::stripe::objects::CheckoutSession;

/// How often a fetch is repeated because another process wrote meanwhile.
const ROUNDS: usize = 8;

/// Brings objects up to date with what they refer to: all of it, or nothing.
///
/// # Errors
/// Nothing was written; try again later.
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
    for _ in 0..ROUNDS {
        let fetched = fetch::all(core, objects).await?;
        // Before anything else: a link that is made meanwhile must find every event that waits for it.
        if let (Some(customer), false) = (fetched.customer(), context.without_customer.is_empty()) {
            inbox::set_customer(core.db(), context.without_customer, customer).await?;
        }
        match write::all(core, &fetched, &context).await? {
            Written::Done(outcome) => return Ok((outcome, fetched)),
            Written::Raced => {}
            Written::LeaseLost(event) => return Err(SyncError::LeaseLost(event)),
            Written::SecondTrial(id) => {
                tracing::warn!(subscription = %id, "{id} is a second trial of the same person; it ends now");
                core.gateway().end_trial(&id).await?;
            }
        }
    }
    let names: Vec<&str> = objects.iter().map(Object::id).collect();
    Err(SyncError::Contended(names.join(", ")))
}

/// The customer of the objects, if [`objects`] would find that no account owns it. Nothing is written.
pub async fn unmatched_customer(core: &Core, objects: &BTreeSet<Object>) -> Result<Option<CustomerId>, SyncError> {
    let fetched = fetch::all(core, objects).await?;
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

/// Brings up to date what a Checkout Session led to, and its attempt. The session as it is at Stripe;
/// `None` for one that Stripe does not have.
pub async fn checkout_session(core: &Core, id: &CheckoutSessionId) -> Result<Option<CheckoutSession>, SyncError> {
    let wanted = BTreeSet::from([Object::CheckoutSession(id.clone())]);
    let (_, mut fetched) = sync(core, &wanted, SyncContext::because("checkout")).await?;
    Ok(fetched.sessions.pop().map(|fresh| fresh.now))
}

/// Every subscription of a customer, from Stripe's own list. Those that are stored differently are
/// brought up to date.
pub async fn all_of_customer(core: &Core, customer: &CustomerId) -> Result<Vec<Subscription>, SyncError> {
    let listed = core.gateway().subscriptions_of(customer).await?;
    let ids: Vec<&str> = listed.iter().map(|listed| listed.subscription.id.as_str()).collect();
    let mut stored = subscriptions::by_ids(core.db(), &ids).await?;
    for listed in &listed {
        let id = &listed.subscription.id;
        let stored = stored.remove(id).transpose()?.map(|stored| stored.object);
        if !is_current(stored.as_ref(), listed, core.catalog()) {
            subscription(core, id, SyncContext::because("purchase")).await?;
        }
    }
    Ok(listed.into_iter().map(|listed| listed.subscription).collect())
}
