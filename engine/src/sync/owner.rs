//! Finding the account that owns an object in Stripe.
//!
//! A customer is linked to an account when we create it, or when one of its objects refers to the account
//! in the metadata that we set on everything we create. Events of an unlinked customer whose objects name
//! no existing account wait until that changes.

use std::collections::BTreeMap;

use billing::{AccountId, CustomerId, Timestamp};

use super::fetch::Fetched;
use crate::store::{StoreError, Tx, accounts, customers, inbox};

/// The owner of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This account.
    Account(AccountId),
    /// This customer, which no account owns yet.
    Unlinked(CustomerId),
    /// No customer: a guest.
    Guest,
}

/// The owners of all customers of the fetched objects. There is one, except in unusual data.
#[derive(Debug)]
pub(super) struct Owners {
    by_customer: BTreeMap<CustomerId, Option<AccountId>>,
    /// The account that the objects name, if it does not exist.
    pub(super) missing_account: Option<String>,
    /// Whether events became due because their customer was linked.
    pub(super) has_revived: bool,
}

impl Owners {
    /// Finds the owners, and links customers whose objects refer to an existing account.
    pub(super) async fn find(tx: &mut Tx, fetched: &Fetched, now: Timestamp) -> Result<Self, StoreError> {
        let mut owners = Self { by_customer: BTreeMap::new(), missing_account: None, has_revived: false };
        for (customer, names) in fetched.names_by_customer() {
            let mut owner = customers::account_of(&mut *tx, &customer).await?;
            for name in names {
                if owner.is_some() {
                    break;
                }
                let account = AccountId::new(name);
                if !accounts::exists(tx, &account).await? {
                    owners.missing_account = Some(name.to_owned());
                    continue;
                }
                let link = link(tx, &customer, &account, fetched.is_deleted(&customer), now).await?;
                owners.has_revived |= link.has_revived;
                owner = link.is_linked.then_some(account);
            }
            owners.by_customer.insert(customer, owner);
        }
        Ok(owners)
    }

    /// Returns the accounts of the customers.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        self.by_customer.values().flatten()
    }

    /// Returns the owner of an object of this customer; without a customer, the account that the object names.
    pub(super) async fn of(
        &self,
        tx: &mut Tx,
        customer: Option<&CustomerId>,
        named: Option<&str>,
    ) -> Result<Owner, StoreError> {
        if let Some(customer) = customer {
            let known = self.by_customer.get(customer).cloned().flatten();
            return Ok(known.map_or_else(|| Owner::Unlinked(customer.clone()), Owner::Account));
        }
        match named.map(AccountId::new) {
            Some(account) if accounts::exists(tx, &account).await? => Ok(Owner::Account(account)),
            _ => Ok(Owner::Guest),
        }
    }
}

/// The outcome of linking a customer.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Whether customer and account are linked now.
    pub is_linked: bool,
    /// Whether events became due: then the worker must be notified after the commit.
    pub has_revived: bool,
}

/// Links a customer, and makes its waiting events due. A deleted customer is linked alongside its successor.
pub async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    is_deleted: bool,
    now: Timestamp,
) -> Result<Link, StoreError> {
    let is_linked = customers::link(tx, customer, account, is_deleted, now).await?;
    let has_revived = is_linked && inbox::revive_of_customer(tx, customer, now).await? > 0;
    Ok(Link { is_linked, has_revived })
}
