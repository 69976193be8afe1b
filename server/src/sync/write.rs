//! Writing what Stripe said, whole, with what follows from it and the events that made us look:
//! all of it in one transaction.

use std::collections::BTreeSet;

use billing::ledger::{Customer, Invoice, Payment, Purchase};
use billing::{AccountId, Catalog, CustomerId, EventId, Status, Subscription, SubscriptionId};

use super::fetch::{Fetched, Fresh};
use super::owner::{Owner, Owners};
use super::{Along, Outcome, SyncError, trial};
use crate::access::CHANNEL;
use crate::store::checkouts::AttemptStatus;
use crate::store::inbox::EventState;
use crate::store::{StoreError, Stored, Tx, checkouts, customers, inbox, invoices, payments, purchases, subscriptions};
use crate::stripe::shape::{CheckoutSession, Named, SessionStatus, SubscriptionShape};
use crate::tollgate::Tollgate;
use crate::usage::credits;

/// How an attempt to write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything is committed.
    Done(Outcome),
    /// Somebody else wrote meanwhile, perhaps something newer: ask Stripe again.
    Raced,
    /// This subscription's trial is somebody's second one: end it and ask Stripe again.
    SecondTrial(SubscriptionId),
    /// This event is somebody else's by now, and so is all that it led to.
    TakenOver(EventId),
}

/// What one object came to.
enum Step {
    /// It is written for this account.
    Of(AccountId),
    Unmatched(CustomerId),
    Nobody,
    Raced,
    SecondTrial(SubscriptionId),
}

/// Writes everything that was fetched.
pub(super) async fn all(tollgate: &Tollgate, fetched: &Fetched, along: &Along<'_>) -> Result<Written, SyncError> {
    let mut tx = tollgate.db().begin().await?;
    let mut accounts = BTreeSet::new();
    let mut unmatched = BTreeSet::new();
    for step in steps(&mut tx, tollgate, fetched, along).await? {
        match step {
            Step::Of(account) => drop(accounts.insert(account)),
            Step::Unmatched(customer) => drop(unmatched.insert(customer)),
            Step::Nobody => {}
            Step::Raced => return Ok(Written::Raced),
            Step::SecondTrial(id) => return Ok(Written::SecondTrial(id)),
        }
    }
    let outcome = match (unmatched.first(), accounts.first()) {
        (Some(customer), _) => Outcome::Unmatched(customer.clone()),
        (None, Some(account)) => Outcome::Written(account.clone()),
        (None, None) => Outcome::Nobody,
    };
    let state = match outcome {
        Outcome::Written(_) => EventState::Done,
        Outcome::Unmatched(_) => EventState::Unmatched,
        Outcome::Nobody => EventState::Ignored,
    };
    for lease in along.events {
        if !inbox::settle(&mut tx, lease, state, tollgate.now()).await? {
            return Ok(Written::TakenOver(lease.event.clone()));
        }
    }
    for account in &accounts {
        tx.notify(CHANNEL, account.as_str()).await?;
    }
    tx.commit().await?;
    for account in &accounts {
        tollgate.access().forget(account).await;
        tracing::info!(%account, because = along.cause(), "account {account} is up to date with Stripe");
    }
    for customer in &unmatched {
        tracing::warn!(%customer, "no account for the Stripe customer {customer}; kept until one is linked");
    }
    Ok(Written::Done(outcome))
}

/// The customer whom nobody owns, when there is one: by writing everything, and taking it back.
pub(super) async fn stranger(tollgate: &Tollgate, fetched: &Fetched) -> Result<Option<CustomerId>, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let steps = steps(&mut tx, tollgate, fetched, &Along::reason("looking")).await?;
    Ok(steps.into_iter().find_map(|step| match step {
        Step::Unmatched(customer) => Some(customer),
        _ => None,
    }))
}

/// Writes one object after the other. What cannot be written undoes the others: see [`all`].
async fn steps(
    tx: &mut Tx,
    tollgate: &Tollgate,
    fetched: &Fetched,
    along: &Along<'_>,
) -> Result<Vec<Step>, StoreError> {
    for Fresh { seen, now } in &fetched.predecessors {
        let seen = seen.as_ref().map_or(0, |seen| seen.version);
        if !customers::write(tx, &now.object, seen, tollgate.now()).await? {
            return Ok(vec![Step::Raced]);
        }
    }
    let owners = Owners::find(tx, tollgate, fetched).await?;
    let mut steps = Vec::new();
    for fresh in &fetched.customers {
        steps.push(customer(tx, tollgate, &owners, fresh).await?);
    }
    for fresh in &fetched.subscriptions {
        steps.push(subscription(tx, tollgate, &owners, fresh, along).await?);
    }
    for fresh in &fetched.invoices {
        steps.push(invoice(tx, tollgate, &owners, fresh).await?);
    }
    for fresh in &fetched.payments {
        steps.push(payment(tx, tollgate, &owners, fresh).await?);
    }
    for fresh in &fetched.sessions {
        steps.push(session(tx, tollgate, &owners, fresh).await?);
    }
    Ok(steps)
}

/// The account of an owner, or the step that there is instead of a write.
macro_rules! account_or_return {
    ($owner:expr) => {
        match $owner {
            Owner::Account(account) => account,
            Owner::Stranger(customer) => return Ok(Step::Unmatched(customer)),
            Owner::Nobody => return Ok(Step::Nobody),
        }
    };
}

async fn customer(
    tx: &mut Tx,
    tollgate: &Tollgate,
    owners: &Owners,
    fresh: &Fresh<Customer, Named<Customer>>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let account = account_or_return!(owners.of(tx, Some(&now.object.id), None).await?);
    let seen = fresh.seen.as_ref().map_or(0, |seen| seen.version);
    let written = customers::write(tx, &now.object, seen, tollgate.now()).await?;
    Ok(if written { Step::Of(account) } else { Step::Raced })
}

async fn subscription(
    tx: &mut Tx,
    tollgate: &Tollgate,
    owners: &Owners,
    fresh: &Fresh<Subscription, SubscriptionShape>,
    along: &Along<'_>,
) -> Result<Step, StoreError> {
    let (shape, at) = (&fresh.now, tollgate.now());
    let customer = &shape.subscription.customer;
    let account = account_or_return!(owners.of(tx, Some(customer), None).await?);
    let seen = fresh.seen.as_ref();
    let now = remembered(shape, seen.map(|seen| &seen.object), tollgate.catalog());
    if !subscriptions::write(tx, &account, &now, seen, &along.cause(), at).await? {
        return Ok(Step::Raced);
    }
    if trial::claim(tx, &account, &now, shape, at).await? {
        Ok(Step::Of(account))
    } else {
        Ok(Step::SecondTrial(now.id))
    }
}

async fn invoice(
    tx: &mut Tx,
    tollgate: &Tollgate,
    owners: &Owners,
    fresh: &Fresh<Invoice, Named<Invoice>>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let customer = &now.object.customer;
    let account = account_or_return!(owners.of(tx, Some(customer), None).await?);
    let seen = fresh.seen.as_ref().map(|seen| seen.version);
    let written = invoices::write(tx, &account, &now.object, seen, tollgate.now()).await?;
    Ok(if written { Step::Of(account) } else { Step::Raced })
}

async fn payment(
    tx: &mut Tx,
    tollgate: &Tollgate,
    owners: &Owners,
    fresh: &Fresh<Payment, Named<Payment>>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let owner = owners.of(tx, now.object.customer.as_ref(), now.account.as_deref()).await?;
    let account = account_or_return!(owner);
    let seen = fresh.seen.as_ref().map(|seen| seen.version);
    if !payments::write(tx, &account, &now.object, seen, tollgate.now()).await? {
        return Ok(Step::Raced);
    }
    if let Some(bought) = purchases::by_payment(tx, &now.object.id).await? {
        grant(tx, tollgate, &bought.account, &bought.object, Some(&now.object)).await?;
    }
    Ok(Step::Of(account))
}

async fn session(
    tx: &mut Tx,
    tollgate: &Tollgate,
    owners: &Owners,
    fresh: &Fresh<Purchase, CheckoutSession>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let status = match now.status {
        SessionStatus::Open => None,
        SessionStatus::Complete => Some(AttemptStatus::Complete),
        SessionStatus::Expired => Some(AttemptStatus::Expired),
    };
    if let Some(status) = status {
        checkouts::close_session(tx, &now.id, status).await?;
    }
    let account = account_or_return!(owners.of(tx, now.customer.as_ref(), now.account.as_deref()).await?);
    let Some(purchase) = &now.purchase else { return Ok(Step::Of(account)) };
    let before = fresh.seen.as_ref();
    let purchase = purchase.clone().described(tollgate.catalog(), before.map(|before| &before.object));
    let seen = before.map(|before| before.version);
    if !purchases::write(tx, &account, &purchase, seen, tollgate.now()).await? {
        return Ok(Step::Raced);
    }
    let paid = match &purchase.payment {
        Some(id) => payments::by_id_in(tx, id).await?.map(|stored: Stored<Payment>| stored.object),
        None => None,
    };
    grant(tx, tollgate, &account, &purchase, paid.as_ref()).await?;
    Ok(Step::Of(account))
}

/// Makes the account's credits say what the purchase is good for now.
async fn grant(
    tx: &mut Tx,
    tollgate: &Tollgate,
    account: &AccountId,
    purchase: &Purchase,
    payment: Option<&Payment>,
) -> Result<(), StoreError> {
    for grant in purchase.grants(payment) {
        let units = i64::try_from(grant.units).unwrap_or(i64::MAX);
        credits::set_granted(tx, account, grant.meter, &grant.source, units, tollgate.now()).await?;
    }
    Ok(())
}

/// Adds what only we remember: since when it is past due, and what its prices last meant.
///
/// The start of a delinquency is the oldest invoice that is owed, as Stripe says it now: so it is
/// the same whatever was heard of it meanwhile, and retries do not move it.
pub(crate) fn remembered(
    fetched: &SubscriptionShape,
    before: Option<&Subscription>,
    catalog: &Catalog,
) -> Subscription {
    let mut subscription = fetched.subscription.clone();
    subscription.past_due_since = fetched.open_invoice_since.filter(|_| subscription.status == Status::PastDue);
    subscription.last_known_tier = before.and_then(|before| before.last_known_tier.clone());
    if let (Some(tier), true) = subscription.tier(catalog) {
        subscription.last_known_tier = Some(tier.clone());
    }
    subscription
}
