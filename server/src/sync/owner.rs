//! Whose Stripe's objects are here.
//!
//! A customer is linked to an account when we make it, or when an object of its names the account
//! in the metadata that we put on everything we make. What nobody is named by and whose customer
//! nobody knows is kept until somebody does.

use std::collections::BTreeMap;

use billing::{AccountId, CustomerId};

use super::fetch::Fetched;
use crate::store::{StoreError, Tx, accounts, customers, inbox};
use crate::tollgate::Tollgate;

/// The answer for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This account's.
    Account(AccountId),
    /// A customer's whom no account owns yet.
    Stranger(CustomerId),
    /// Of no customer at all: a guest's.
    Nobody,
}

/// The answers for all customers of what was fetched. There is one, but for odd data.
#[derive(Debug)]
pub(super) struct Owners(BTreeMap<CustomerId, Option<AccountId>>);

impl Owners {
    /// Finds the owners, and links those who are named and not linked yet.
    pub(super) async fn find(tx: &mut Tx, tollgate: &Tollgate, fetched: &Fetched) -> Result<Self, StoreError> {
        let mut owners = BTreeMap::new();
        for (customer, names) in fetched.names_by_customer() {
            let mut owner = customers::account_of(&mut *tx, &customer).await?;
            for name in names {
                let account = AccountId::new(name);
                if owner.is_none()
                    && accounts::exists(tx, &account).await?
                    && link(tx, &customer, &account, fetched.is_deleted(&customer), tollgate).await?
                {
                    owner = Some(account);
                }
            }
            owners.insert(customer, owner);
        }
        Ok(Self(owners))
    }

    /// Whose the object of this customer is; of no customer, whose it says that it is.
    pub(super) async fn of(
        &self,
        tx: &mut Tx,
        customer: Option<&CustomerId>,
        named: Option<&str>,
    ) -> Result<Owner, StoreError> {
        if let Some(customer) = customer {
            let known = self.0.get(customer).cloned().flatten();
            return Ok(known.map_or_else(|| Owner::Stranger(customer.clone()), Owner::Account));
        }
        match named.map(AccountId::new) {
            Some(account) if accounts::exists(tx, &account).await? => Ok(Owner::Account(account)),
            _ => Ok(Owner::Nobody),
        }
    }
}

/// Links a customer, and makes the events that waited for it due. One that was deleted is linked
/// beside whoever came after it.
pub(crate) async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    is_deleted: bool,
    tollgate: &Tollgate,
) -> Result<bool, StoreError> {
    let linked = customers::link(tx, customer, account, is_deleted, tollgate.now()).await?;
    if linked && inbox::revive_unmatched(tx, customer, tollgate.now()).await? > 0 {
        tollgate.inbox_filled().notify_one();
    }
    Ok(linked)
}
