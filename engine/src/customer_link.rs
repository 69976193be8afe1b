//! Linking a Stripe customer to an account, on an operator's decision.

use std::collections::BTreeSet;

use billing::ledger::Customer;
use billing::{AccountId, CustomerId, Subscription};

use crate::core::Core;
use crate::inbox::object::Object;
use crate::store::accounts::Contact;
use crate::store::{StoreError, accounts, customers};
use crate::stripe::GatewayError;
use crate::stripe_account::{self, StripeAccountError};
use crate::sync::{self, SyncContext, SyncError, SyncOutcome};

/// The reason a customer was not linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The account is closed or does not exist.
    #[error("there is no open account {0}")]
    NoAccount(AccountId),
    /// Stripe has no such customer, or it was deleted there.
    #[error("Stripe has no customer {0}")]
    NoCustomer(CustomerId),
    /// The account has another customer.
    #[error("the account {account} has the customer {customer}; it can have only one")]
    AccountHasCustomer {
        /// The account to link to.
        account: AccountId,
        /// The customer that it already has.
        customer: CustomerId,
    },
    /// Another account owns the customer.
    #[error("the customer {customer} belongs to the account {account}")]
    Owned {
        /// The customer to link.
        customer: CustomerId,
        /// Its owner.
        account: AccountId,
    },
    /// The API key's account could not be confirmed.
    #[error(transparent)]
    StripeAccount(#[from] StripeAccountError),
    /// Stripe gave no usable response.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The customer's objects could not be brought up to date.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// A customer and an account that can be linked, for an operator to compare.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The customer, as Stripe describes it.
    pub customer: Customer,
    /// All its subscriptions in Stripe, including ended ones.
    pub subscriptions: Vec<Subscription>,
    /// The account's contact.
    pub contact: Contact,
}

/// Reads a customer and an account that can be linked. It changes nothing.
pub async fn candidate(core: &Core, customer: &CustomerId, account: &AccountId) -> Result<Candidate, LinkError> {
    let (customer, contact) = check(core, customer, account).await?;
    let listed = core.gateway().subscriptions_of(&customer.id).await?;
    let subscriptions = listed.into_iter().map(|listed| listed.subscription).collect();
    Ok(Candidate { customer, subscriptions, contact })
}

/// Links a customer whom no account owns to an account without a customer, with its subscriptions, which
/// are returned. The account's id is stored in the customer's metadata in Stripe as well, so that the link
/// can be found again from there.
#[tracing::instrument(skip_all, fields(%customer, %account))]
pub async fn link(core: &Core, customer: &CustomerId, account: &AccountId) -> Result<Vec<Subscription>, LinkError> {
    check(core, customer, account).await?;
    core.gateway().name_account(customer, account).await?;
    let wanted = BTreeSet::from([Object::Customer(customer.clone())]);
    match sync::objects(core, &wanted, SyncContext::with_reason("linked by an operator")).await? {
        SyncOutcome::Written(owner) if owner == *account => Ok(sync::all_of_customer(core, customer).await?),
        // Another process has linked one of the two in the meantime.
        _ => {
            reject_owned(core, customer, account).await?;
            reject_other_customer(core, customer, account).await?;
            Err(SyncError::Contended(customer.to_string()).into())
        }
    }
}

/// Returns the customer and the account's contact, or the reason they cannot be linked.
async fn check(core: &Core, customer: &CustomerId, account: &AccountId) -> Result<(Customer, Contact), LinkError> {
    stripe_account::verify(core).await?;
    let contact = accounts::contact(core.db(), account).await?.filter(|contact| contact.closed_at.is_none());
    let contact = contact.ok_or_else(|| LinkError::NoAccount(account.clone()))?;
    reject_other_customer(core, customer, account).await?;
    let found = match core.gateway().customer(customer).await {
        Ok(found) if !found.object.is_deleted => found.object,
        Ok(_) => return Err(LinkError::NoCustomer(customer.clone())),
        Err(error) if error.is_missing() => return Err(LinkError::NoCustomer(customer.clone())),
        Err(error) => return Err(error.into()),
    };
    reject_owned(core, customer, account).await?;
    Ok((found, contact))
}

async fn reject_other_customer(core: &Core, customer: &CustomerId, account: &AccountId) -> Result<(), LinkError> {
    match customers::of_account(core.db(), account).await? {
        Some(linked) if linked != *customer => {
            Err(LinkError::AccountHasCustomer { account: account.clone(), customer: linked })
        }
        _ => Ok(()),
    }
}

async fn reject_owned(core: &Core, customer: &CustomerId, account: &AccountId) -> Result<(), LinkError> {
    match customers::by_id(core.db(), customer).await? {
        Some(stored) if stored.account != *account => {
            Err(LinkError::Owned { customer: customer.clone(), account: stored.account })
        }
        _ => Ok(()),
    }
}
