//! Subscriptions that are stored differently or not at all, are duplicated, have no account, have an
//! unknown price, or belong to a closed account.

use std::collections::{BTreeMap, BTreeSet};

use billing::{AccountId, CustomerId, Subscription, SubscriptionId};

use super::comparison::{Comparison, Mode};
use super::drift::Drift;
use super::unlinked;
use crate::closing;
use crate::inbox::object::Object;
use crate::store::{StoreError, Stored, customers, subscriptions};
use crate::stripe::objects::SubscriptionObject;
use crate::sync::{self, SyncContext, SyncError, SyncOutcome};

pub(super) async fn compare(comparison: &mut Comparison<'_>) -> Result<(), SyncError> {
    let core = comparison.core;
    let stored_as_running = subscriptions::running(core.db(), "", i64::MAX).await?;
    let mut listed: BTreeSet<SubscriptionId> = BTreeSet::new();
    let mut running: BTreeMap<CustomerId, Vec<SubscriptionId>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = core.gateway().subscriptions_page(after.as_deref()).await?;
        let read = page.data.iter().flatten().map(|fetched| &fetched.subscription);
        let (ids, customers): (Vec<&str>, Vec<&str>) =
            read.map(|fetched| (fetched.id.as_str(), fetched.customer.as_str())).unzip();
        let mut stored = subscriptions::by_ids(core.db(), &ids).await?;
        let closed = customers::of_closed_accounts(core.db(), &customers).await?;
        for read in page.data {
            let fetched = match read {
                Ok(fetched) => fetched,
                Err(unread) => {
                    listed.insert(SubscriptionId::new(&unread.id));
                    comparison.not_compared(&unread.id, &unread.error);
                    continue;
                }
            };
            let (id, customer) = (&fetched.subscription.id, &fetched.subscription.customer);
            listed.insert(id.clone());
            if !fetched.subscription.status.has_ended() {
                running.entry(customer.clone()).or_default().push(id.clone());
            }
            let stored = stored.remove(id).transpose();
            let compared = compare_one(comparison, &fetched, stored, closed.get(customer)).await;
            comparison.skip_if_single(id.as_str(), compared)?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    for subscription in stored_as_running.into_iter().filter(|stored| !listed.contains(stored)) {
        missing_subscription(comparison, subscription).await?;
    }
    // Only a person can decide which of them the customer wants.
    for (customer, subscriptions) in running.into_iter().filter(|(_, subscriptions)| subscriptions.len() > 1) {
        comparison.open(Drift::DuplicateSubscription { customer, subscriptions });
    }
    Ok(())
}

/// Reports a subscription that Stripe does not have. It stays as it is: with another account's key, every
/// subscription would be missing.
async fn missing_subscription(comparison: &mut Comparison<'_>, subscription: SubscriptionId) -> Result<(), SyncError> {
    match comparison.core.gateway().subscription(&subscription).await {
        Err(error) if error.is_missing() => comparison.open(Drift::MissingSubscription { subscription }),
        // It was created while the others were listed.
        Ok(_) => {}
        Err(error) => drop(comparison.skip_if_single::<()>(subscription.as_str(), Err(error.into()))?),
    }
    Ok(())
}

async fn compare_one(
    comparison: &mut Comparison<'_>,
    fetched: &SubscriptionObject,
    stored: Result<Option<Stored<Subscription>>, StoreError>,
    closed: Option<&AccountId>,
) -> Result<(), SyncError> {
    unknown_prices(comparison, &fetched.subscription);
    // First, so that the customer of a closed account stops paying even if the row cannot be read.
    if let (Some(account), false) = (closed, fetched.subscription.status.has_ended()) {
        return deleted_but_billed(comparison, &fetched.subscription, account).await;
    }
    let stored = stored?.map(|stored| stored.object);
    if !sync::is_current(stored.as_ref(), fetched, comparison.core.catalog()) {
        wrong_subscription(comparison, &fetched.subscription, stored.as_ref()).await?;
    }
    Ok(())
}

fn unknown_prices(comparison: &mut Comparison<'_>, subscription: &Subscription) {
    if subscription.status.has_ended() {
        return;
    }
    let catalog = comparison.core.catalog();
    for item in &subscription.items {
        let lookup_key = item.lookup_key.as_deref();
        if !catalog.is_metered(lookup_key) && catalog.tier_of_price(&item.price, lookup_key).is_none() {
            let (subscription, price) = (subscription.id.clone(), item.price.clone());
            comparison.open(Drift::UnknownPrice { subscription, price });
        }
    }
}

async fn wrong_subscription(
    comparison: &mut Comparison<'_>,
    fetched: &Subscription,
    stored: Option<&Subscription>,
) -> Result<(), SyncError> {
    let core = comparison.core;
    let wanted = BTreeSet::from([Object::Subscription(fetched.id.clone())]);
    let unmatched = match comparison.mode {
        _ if unlinked::is_known(comparison, &fetched.customer).await? => Some(fetched.customer.clone()),
        Mode::DryRun => sync::unmatched_customer(core, &wanted).await?,
        Mode::Repair => match sync::objects(core, &wanted, SyncContext::with_reason("reconcile")).await? {
            SyncOutcome::Unmatched(customer) => {
                unlinked::set_checked(comparison, &customer).await?;
                Some(customer)
            }
            SyncOutcome::Written(_) => None,
            // It has disappeared since it was listed.
            SyncOutcome::Ignored => return Ok(()),
        },
    };
    match unmatched {
        // The Stripe account may sell other things too: an ended subscription to one of those is fine.
        Some(_) if fetched.status.has_ended() => {}
        Some(customer) => comparison.open(Drift::OrphanCustomer { customer, subscription: fetched.id.clone() }),
        None => comparison.fixed(Drift::WrongSubscription {
            subscription: fetched.id.clone(),
            stored: stored.map(|stored| stored.status.as_str().to_owned()),
            fetched: fetched.status.as_str().to_owned(),
        }),
    }
    Ok(())
}

/// Cancels a subscription of a closed account, whose owner expects no further charges.
async fn deleted_but_billed(
    comparison: &mut Comparison<'_>,
    subscription: &Subscription,
    account: &AccountId,
) -> Result<(), SyncError> {
    if comparison.mode == Mode::Repair {
        closing::end_subscription(comparison.core, account, subscription).await?;
    }
    let subscription = subscription.id.clone();
    comparison.fixed(Drift::DeletedButBilled { subscription, account: account.clone() });
    Ok(())
}
