//! Whose an object of Stripe's is here.
//!
//! A customer is linked to an account when we make it, or when an object of its names the account
//! in the metadata that we put on everything we make. What nobody is named by and whose customer
//! nobody knows is kept until somebody does.

use billing::{AccountId, CustomerId};

use crate::store::{StoreError, Tx, accounts, customers, inbox};
use crate::tollgate::Tollgate;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This account's.
    Account(AccountId),
    /// A customer's whom no account owns yet.
    Stranger(CustomerId),
    /// Of no customer at all: a guest's.
    Nobody,
}

/// Whose the object of this customer is, which names this account; links the two if they are to be partners.
pub(super) async fn of(
    tx: &mut Tx,
    tollgate: &Tollgate,
    customer: Option<&CustomerId>,
    named: Option<&str>,
) -> Result<Owner, StoreError> {
    let named = named.map(AccountId::new);
    let named = match named {
        Some(account) if accounts::exists(tx, &account).await? => Some(account),
        _ => None,
    };
    let Some(customer) = customer else {
        return Ok(named.map_or(Owner::Nobody, Owner::Account));
    };
    if let Some(account) = customers::account_of_in(tx, customer).await? {
        return Ok(Owner::Account(account));
    }
    match named {
        Some(account) if link(tx, customer, &account, tollgate).await? => Ok(Owner::Account(account)),
        _ => Ok(Owner::Stranger(customer.clone())),
    }
}

/// Links a customer, and makes the events that waited for it due.
pub(crate) async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    tollgate: &Tollgate,
) -> Result<bool, StoreError> {
    let linked = customers::link(tx, customer, account, tollgate.now()).await?;
    if linked && inbox::revive_unmatched(tx, customer, tollgate.now()).await? > 0 {
        tollgate.inbox_filled().notify_one();
    }
    Ok(linked)
}
