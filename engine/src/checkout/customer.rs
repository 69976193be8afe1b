//! The Stripe customer of an account.

use std::collections::BTreeSet;

use billing::ledger::Customer;
use billing::{AccountId, CustomerId};

use super::error::CheckoutError;
use crate::core::Core;
use crate::idempotency_key::Key;
use crate::inbox::object::Object;
use crate::store::accounts::Contact;
use crate::store::{accounts, customers};
use crate::stripe_account;
use crate::sync::{self, SyncContext};

/// Finds or creates the account's customer, after checking with Stripe that it still exists: a customer
/// that was deleted in Stripe is replaced, whether or not the event has arrived.
///
/// Two concurrent first requests create one customer, because they send the same idempotency key, and one
/// row, because the account is unique there.
pub async fn live_customer(core: &Core, account: &AccountId) -> Result<CustomerId, CheckoutError> {
    stripe_account::verify(core).await?;
    let db = core.db();
    let contact = accounts::contact(db, account).await?.filter(|contact| contact.closed_at.is_none());
    let contact = contact.ok_or(CheckoutError::Closed)?;
    if let Some(known) = customers::of_account(db, account).await? {
        sync::objects(core, &BTreeSet::from([Object::Customer(known)]), SyncContext::with_reason("purchase")).await?;
        if let Some(customer) = customers::of_account(db, account).await? {
            return Ok(customer);
        }
    }
    // Only deleted customers count: one that is linked concurrently must not change the key.
    let deleted = customers::count_deleted(db, account).await?;
    let created = create(core, account, &contact, deleted).await?;
    let mut tx = db.begin().await?;
    let link = sync::link(&mut tx, &created.id, account, false, core.now()).await?;
    // If another process has written since, its copy is newer than ours.
    customers::write(&mut tx, &created, 0, core.now()).await?;
    tx.commit().await?;
    if link.has_revived {
        core.wake_worker().notify_one();
    }
    customers::of_account(db, account).await?.ok_or(CheckoutError::InProgress)
}

/// Creates the customer in Stripe. An account whose customer was deleted gets another: `deleted` is the number
/// of its deleted customers.
async fn create(core: &Core, account: &AccountId, contact: &Contact, deleted: i64) -> Result<Customer, CheckoutError> {
    let base = match deleted {
        0 => format!("customer:{account}"),
        _ => format!("customer:{account}:{deleted}"),
    };
    let mut key = Key::of(core, base).await?;
    if let Some(since) = key.failing_since(core.now()) {
        if let Some(found) = core.gateway().customer_of_account(account, since).await? {
            return Ok(found);
        }
        key = key.renewed(core).await?;
    }
    let (email, name) = (contact.email.as_str(), contact.name.as_deref());
    let created = core.gateway().create_customer(account, email, name, &key.to_string()).await;
    Ok(key.settle::<_, CheckoutError>(core, created).await?.object)
}
