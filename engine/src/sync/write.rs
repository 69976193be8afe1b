//! Writing fetched objects, with their effects and the events that caused them, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use billing::ledger::{Customer, Invoice, Payment, Purchase};
use billing::{AccountId, CustomerId, EventId, Meter, Subscription, SubscriptionId, Timestamp};

use super::fetch::{Fetched, Fresh};
use super::outcome::{SyncContext, SyncError, SyncOutcome};
use super::owner::{Owner, Owners};
use super::remembered::remembered;
use super::reversals;
use super::sold;
use super::trial;
use crate::core::Core;
use crate::metering::credits;
use crate::store::checkouts::AttemptStatus;
use crate::store::inbox::EventState;
use crate::store::{
    StoreError, Tx, accounts, checkouts, customers, inbox, invoices, payments, purchases, subscriptions,
};
use crate::stripe::objects::{CheckoutSession, Named, SessionStatus, SubscriptionObject};

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything is committed.
    Done(SyncOutcome),
    /// Another process wrote in between, perhaps a newer version: fetch again.
    Raced,
    /// This subscription is a second trial of the same person: end it and fetch again.
    SecondTrial(SubscriptionId),
    /// Another worker holds this event now, and will write its effects.
    LeaseLost(EventId),
}

/// The outcome for one object.
enum Step {
    /// Written for this account.
    Written(AccountId),
    Unmatched(CustomerId),
    Ignored,
    Raced,
    SecondTrial(SubscriptionId),
}

/// Writes all fetched objects.
pub(super) async fn all(core: &Core, fetched: &Fetched, context: &SyncContext<'_>) -> Result<Written, SyncError> {
    let mut tx = core.db().begin().await?;
    let (mut accounts, mut unmatched) = (BTreeSet::new(), BTreeSet::new());
    let (steps, owners) = steps(&mut tx, core, fetched, context).await?;
    for step in steps {
        match step {
            Step::Written(account) => drop(accounts.insert(account)),
            Step::Unmatched(customer) => drop(unmatched.insert(customer)),
            Step::Ignored => {}
            Step::Raced => return Ok(Written::Raced),
            Step::SecondTrial(id) => return Ok(Written::SecondTrial(id)),
        }
    }
    let outcome = match (unmatched.first(), accounts.first()) {
        (Some(customer), _) => SyncOutcome::Unmatched(customer.clone()),
        (None, Some(account)) => SyncOutcome::Written(account.clone()),
        (None, None) => SyncOutcome::Ignored,
    };
    let state = match outcome {
        SyncOutcome::Written(_) => EventState::Done,
        SyncOutcome::Unmatched(_) => EventState::Unmatched,
        SyncOutcome::Ignored => EventState::Ignored,
    };
    let hint = owners.missing_account.as_deref().filter(|_| state == EventState::Unmatched);
    if let Some(event) = inbox::settle(&mut tx, context.events, state, hint, core.now()).await? {
        return Ok(Written::LeaseLost(event));
    }
    core.cache().commit(tx, accounts.iter().cloned().collect()).await?;
    // After the commit: a worker woken earlier would find nothing.
    if owners.has_revived {
        core.wake_worker().notify_one();
    }
    core.wake_changes().notify_one();
    for account in &accounts {
        tracing::info!(%account, cause = context.cause(), "account {account} is up to date with Stripe");
    }
    for customer in &unmatched {
        tracing::warn!(%customer, "no account owns the Stripe customer {customer}; its events wait for one");
    }
    Ok(Written::Done(outcome))
}

/// Finds the customer that no account owns, if there is one, by writing everything and rolling back.
pub(super) async fn unmatched_customer(core: &Core, fetched: &Fetched) -> Result<Option<CustomerId>, StoreError> {
    let mut tx = core.db().begin().await?;
    let (steps, _) = steps(&mut tx, core, fetched, &SyncContext::with_reason("dry run")).await?;
    Ok(steps.into_iter().find_map(|step| match step {
        Step::Unmatched(customer) => Some(customer),
        _ => None,
    }))
}

/// Writes the objects one by one. If one cannot be written, all are rolled back: see [`all`].
///
/// Two transactions that write for one account never deadlock, because each first locks all its accounts, and
/// moves credits last, in the order in which a batch of usage does.
async fn steps(
    tx: &mut Tx,
    core: &Core,
    fetched: &Fetched,
    context: &SyncContext<'_>,
) -> Result<(Vec<Step>, Owners), StoreError> {
    let now = core.now();
    let mut steps = Vec::new();
    let mut grants = Grants::default();
    let locked = accounts::lock_owners(tx, &fetched.owner_ids()).await?;
    for Fresh { seen, now: fetched } in &fetched.predecessors {
        let seen = seen.as_ref().map_or(0, |seen| seen.version);
        if !customers::write(tx, &fetched.object, seen, now).await? {
            steps.push(Step::Raced);
        }
    }
    let owners = Owners::find(tx, fetched, now).await?;
    if owners.accounts().any(|account| !locked.contains(account)) {
        // Its account or its link was created after the lock was taken.
        steps.push(Step::Raced);
        return Ok((steps, owners));
    }
    for fresh in &fetched.customers {
        steps.push(customer(tx, core, &owners, fresh).await?);
    }
    for fresh in &fetched.subscriptions {
        steps.push(subscription(tx, core, &owners, fresh, fetched, context).await?);
    }
    for fresh in &fetched.invoices {
        steps.push(invoice(tx, core, &owners, fresh).await?);
    }
    for fresh in &fetched.payments {
        steps.push(payment(tx, core, &owners, fresh, &mut grants).await?);
    }
    for fresh in &fetched.sessions {
        steps.push(session(tx, core, &owners, fresh, &mut grants).await?);
    }
    grants.write(tx, now).await?;
    Ok((steps, owners))
}

/// The account of an owner, or the step that replaces the write.
macro_rules! account_or_return {
    ($owner:expr) => {
        match $owner {
            Owner::Account(account) => account,
            Owner::Unlinked(customer) => return Ok(Step::Unmatched(customer)),
            Owner::Guest => return Ok(Step::Ignored),
        }
    };
}

async fn customer(
    tx: &mut Tx,
    core: &Core,
    owners: &Owners,
    fresh: &Fresh<Customer, Named<Customer>>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let account = account_or_return!(owners.of(tx, Some(&now.object.id), None).await?);
    let seen = fresh.seen.as_ref().map_or(0, |seen| seen.version);
    let is_written = customers::write(tx, &now.object, seen, core.now()).await?;
    Ok(if is_written { Step::Written(account) } else { Step::Raced })
}

async fn subscription(
    tx: &mut Tx,
    core: &Core,
    owners: &Owners,
    fresh: &Fresh<Subscription, SubscriptionObject>,
    all: &Fetched,
    context: &SyncContext<'_>,
) -> Result<Step, StoreError> {
    let (fetched, at) = (&fresh.now, core.now());
    let customer = &fetched.subscription.customer;
    let account = account_or_return!(owners.of(tx, Some(customer), None).await?);
    let seen = fresh.seen.as_ref();
    let mut now = remembered(fetched, seen.map(|seen| &seen.object), core.catalog());
    if now.last_known_tier.is_none() {
        now.last_known_tier = sold::tier(tx, &account, fetched, core.catalog()).await?;
    }
    now.reversals = reversals::of(tx, &account, &now, all).await?;
    if !subscriptions::write(tx, &account, &now, seen, &context.cause(), at).await? {
        return Ok(Step::Raced);
    }
    if trial::claim(tx, &account, &now, fetched, at).await? {
        Ok(Step::Written(account))
    } else {
        Ok(Step::SecondTrial(now.id))
    }
}

async fn invoice(
    tx: &mut Tx,
    core: &Core,
    owners: &Owners,
    fresh: &Fresh<Invoice, Named<Invoice>>,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let customer = &now.object.customer;
    let account = account_or_return!(owners.of(tx, Some(customer), None).await?);
    let seen = fresh.seen.as_ref().map_or(0, |seen| seen.version);
    let is_written = invoices::write(tx, &account, &now.object, seen, core.now()).await?;
    Ok(if is_written { Step::Written(account) } else { Step::Raced })
}

async fn payment(
    tx: &mut Tx,
    core: &Core,
    owners: &Owners,
    fresh: &Fresh<Payment, Named<Payment>>,
    grants: &mut Grants,
) -> Result<Step, StoreError> {
    let now = &fresh.now;
    let owner = owners.of(tx, now.object.customer.as_ref(), now.account.as_deref()).await?;
    let account = account_or_return!(owner);
    let seen = fresh.seen.as_ref().map_or(0, |seen| seen.version);
    if !payments::write(tx, &account, &now.object, seen, core.now()).await? {
        return Ok(Step::Raced);
    }
    if let Some(bought) = purchases::by_payment(tx, &now.object.id).await? {
        grants.add(&bought.account, &bought.object, Some(&now.object));
    }
    Ok(Step::Written(account))
}

async fn session(
    tx: &mut Tx,
    core: &Core,
    owners: &Owners,
    fresh: &Fresh<Purchase, CheckoutSession>,
    grants: &mut Grants,
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
    let Some(purchase) = &now.purchase else { return Ok(Step::Written(account)) };
    let before = fresh.seen.as_ref();
    let purchase = purchase.clone().described(core.catalog(), before.map(|before| &before.object));
    let seen = before.map_or(0, |before| before.version);
    if !purchases::write(tx, &account, &purchase, seen, core.now()).await? {
        return Ok(Step::Raced);
    }
    let paid = match &purchase.payment {
        Some(id) => payments::by_id_in(tx, id).await?.map(|stored| stored.object),
        None => None,
    };
    grants.add(&account, &purchase, paid.as_ref());
    Ok(Step::Written(account))
}

/// The current grants of the purchases written, by source.
#[derive(Default)]
struct Grants(BTreeMap<String, (AccountId, Meter, i64)>);

impl Grants {
    /// Adds a purchase's grants, in place of those added for it before.
    fn add(&mut self, account: &AccountId, purchase: &Purchase, payment: Option<&Payment>) {
        for grant in purchase.grants(payment) {
            let units = i64::try_from(grant.units).unwrap_or(i64::MAX);
            self.0.insert(grant.source, (account.clone(), grant.meter, units));
        }
    }

    /// Sets the accounts' credits, sorted by account and meter.
    async fn write(self, tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
        let mut grants: Vec<_> = self.0.into_iter().collect();
        grants.sort_by(|(_, (account, meter, _)), (_, (other, other_meter, _))| {
            (account.as_str(), meter.as_str()).cmp(&(other.as_str(), other_meter.as_str()))
        });
        for (source, (account, meter, units)) in grants {
            credits::set_granted(tx, &account, meter, &source, units, now).await?;
        }
        Ok(())
    }
}
