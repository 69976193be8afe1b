//! The subscription of a person whose account was lost, for example because a backup without it was
//! restored. If they sign up again, a second subscription must not be sold.
//!
//! An equal address alone links nothing: anyone can sign up with it, and the customer portal shows cards and
//! invoices. An operator links the customer (`tollgate customer link`, `tests/http/restore.rs`).

use std::collections::BTreeSet;

use billing::{AccountId, CustomerId};

use super::error::CheckoutError;
use crate::core::Core;
use crate::inbox::object::Object;
use crate::store::{accounts, customers};
use crate::sync::{self, SyncContext, SyncOutcome};

/// Returns an error if a customer in Stripe with the account's address, whom no account owns, has one of
/// our plans.
pub(super) async fn reject_orphaned(core: &Core, account: &AccountId) -> Result<(), CheckoutError> {
    let contact = accounts::contact(core.db(), account).await?.ok_or(CheckoutError::Closed)?;
    for customer in core.gateway().customers_with_email(&contact.email).await? {
        if customers::by_id(core.db(), &customer).await?.is_none() && is_orphan(core, &customer).await? {
            tracing::warn!(
                %customer,
                "no plan is sold to the account {account}: {customer} has the same e-mail address and a subscription, \
                 but no account. Anyone can sign up with an address, so link them only if the person proves that \
                 they are this customer (docs/OPERATIONS.md, “After restoring a backup”)"
            );
            return Err(CheckoutError::SubscribedBefore(customer));
        }
    }
    Ok(())
}

/// Returns whether the customer has one of our plans and no account. A customer whose metadata refers to an
/// account is linked to it.
async fn is_orphan(core: &Core, customer: &CustomerId) -> Result<bool, CheckoutError> {
    let all = core.gateway().subscriptions_of(customer).await?;
    let is_ours = all.iter().map(|listed| &listed.subscription).any(|subscription| {
        !subscription.status.has_ended()
            && subscription
                .items
                .iter()
                .any(|item| core.catalog().tier_of_price(&item.price, item.lookup_key.as_deref()).is_some())
    });
    if !is_ours {
        return Ok(false);
    }
    let wanted = BTreeSet::from([Object::Customer(customer.clone())]);
    let synced = sync::objects(core, &wanted, SyncContext::with_reason("purchase")).await?;
    Ok(matches!(synced, SyncOutcome::Unmatched(_)))
}
