//! Comparing with Stripe, and mending what differs.
//!
//! Webhooks can be lost for good: an endpoint that was off, a table restored from a
//! backup. So Stripe's subscriptions and its events are read to their end, whatever
//! differs is named, and what is safe is mended the usual way: by fetching and
//! writing whole. A second run finds nothing to mend (`tests/http/reconcile.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use billing::{AccountId, CustomerId, EventId, PriceId, SubscriptionId};
use tokio_util::sync::CancellationToken;

use crate::ids;
use crate::store::drift::{self, Found};
use crate::store::{accounts, customers, inbox, subscriptions};
use crate::stripe::shape::SubscriptionShape;
use crate::sync::{self, Along, Object, Outcome, SyncError};
use crate::tollgate::Tollgate;
use crate::usage::outbox::{self, Difference};
use crate::webhook::events::{Hint, handled};
use crate::webhook::intake::Incoming;

/// How far back a server compares events by itself. Stripe delivers for three days; older losses
/// are seen by comparing the subscriptions themselves.
const EVENTS_BACK_DAYS: i64 = 4;
/// How long Stripe keeps events: as far back as can be compared at all.
pub const STRIPE_KEEPS_DAYS: i64 = 30;
/// Between two runs of a server.
const EVERY: Duration = Duration::from_secs(3600);
/// After a start, when requests have settled.
const FIRST: Duration = Duration::from_secs(30);
/// Seconds within which another node's run will do.
const RECENT: i64 = 15 * 60;
/// Days for which runs are kept.
const KEPT_DAYS: i64 = 30;

/// Something that differs between Stripe and here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Stripe sent, or would have sent, an event that was never received.
    MissedEvent {
        /// Which.
        event: EventId,
        /// Its type.
        kind: String,
    },
    /// A subscription is written down differently, or not at all.
    WrongSubscription {
        /// Which.
        subscription: SubscriptionId,
        /// Its status here; `None` when it is not written down.
        here: Option<String>,
        /// Its status at Stripe.
        there: String,
    },
    /// A customer has several subscriptions that have not ended, and pays for each.
    DuplicateSubscription {
        /// Whose.
        customer: CustomerId,
        /// Which.
        subscriptions: Vec<SubscriptionId>,
    },
    /// A customer with a subscription whom no account owns.
    OrphanCustomer {
        /// Whose.
        customer: CustomerId,
        /// Which.
        subscription: SubscriptionId,
    },
    /// Somebody pays a price that the catalogue does not name.
    UnknownPrice {
        /// For what.
        subscription: SubscriptionId,
        /// Which.
        price: PriceId,
    },
    /// A subscription goes on for an account that was closed.
    DeletedButBilled {
        /// Which.
        subscription: SubscriptionId,
        /// Whose it was.
        account: AccountId,
    },
    /// Events wait for a customer to be linked to an account.
    Unmatched {
        /// Whose.
        customer: CustomerId,
        /// How many.
        events: i64,
    },
    /// Stripe has counted more or less use than it was told of.
    BilledUse(Difference),
}

impl Drift {
    /// Its class, in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MissedEvent { .. } => "missed_event",
            Self::WrongSubscription { .. } => "wrong_status",
            Self::DuplicateSubscription { .. } => "duplicate_subscription",
            Self::OrphanCustomer { .. } => "orphan_customer",
            Self::UnknownPrice { .. } => "unknown_price",
            Self::DeletedButBilled { .. } => "deleted_but_billed",
            Self::Unmatched { .. } => "unmatched",
            Self::BilledUse(_) => "billed_use",
        }
    }

    /// Stripe's id of what it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::MissedEvent { event, .. } => event.as_str(),
            Self::WrongSubscription { subscription, .. }
            | Self::UnknownPrice { subscription, .. }
            | Self::DeletedButBilled { subscription, .. } => subscription.as_str(),
            Self::DuplicateSubscription { customer, .. }
            | Self::OrphanCustomer { customer, .. }
            | Self::Unmatched { customer, .. }
            | Self::BilledUse(Difference { customer, .. }) => customer.as_str(),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissedEvent { event, kind } => write!(f, "{event} ({kind}) was never received"),
            Self::WrongSubscription { subscription, here: Some(here), there } if here == there => {
                write!(f, "{subscription} is {there} at Stripe and here, but not the same in every field")
            }
            Self::WrongSubscription { subscription, here, there } => {
                write!(f, "{subscription} is {there} at Stripe and {} here", here.as_deref().unwrap_or("unknown"))
            }
            Self::DuplicateSubscription { customer, subscriptions } => {
                let all: Vec<&str> = subscriptions.iter().map(SubscriptionId::as_str).collect();
                write!(f, "{customer} pays for {} subscriptions at once: {}", all.len(), all.join(", "))
            }
            Self::OrphanCustomer { customer, subscription } => {
                write!(f, "{customer} has {subscription}, but no account owns that customer")
            }
            Self::UnknownPrice { subscription, price } => {
                write!(f, "{subscription} is charged at {price}, which plans.toml does not name")
            }
            Self::DeletedButBilled { subscription, account } => {
                write!(f, "{subscription} goes on, but its account {account} was closed")
            }
            Self::Unmatched { customer, events } => {
                write!(f, "{events} events of {customer} wait for an account that owns that customer")
            }
            Self::BilledUse(Difference { customer, meter, sent, counted, .. }) => {
                write!(f, "{counted} {} of {customer} are counted at Stripe, which was told of {sent}", meter.label())
            }
        }
    }
}

/// One difference, and whether it was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub drift: Drift,
    /// Whether it does not any more.
    pub is_mended: bool,
}

impl Finding {
    const fn left(drift: Drift) -> Self {
        Self { drift, is_mended: false }
    }
}

/// Whether to change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only look.
    DryRun,
    /// Mend what is safe.
    Mend,
}

/// Compares everything, once, with the events of the last `days`, and writes down what was found.
///
/// # Errors
/// Stripe or the database could not be read; what was mended before stays mended.
#[tracing::instrument(skip_all)]
pub async fn reconcile(tollgate: &Tollgate, mode: Mode, days: i64) -> Result<Vec<Finding>, SyncError> {
    let run = ids::new_id();
    let mut tx = tollgate.db().begin().await?;
    drift::begin(&mut tx, &run, mode == Mode::DryRun, tollgate.now(), billing::Timestamp(i64::MAX)).await?;
    tx.commit().await?;
    compare(tollgate, &run, mode, days).await
}

/// Compares some time after the start and then every hour, until `stop`. Of several nodes one does.
pub async fn regularly(tollgate: Tollgate, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        if let Err(error) = unless_another_did(&tollgate).await {
            tracing::warn!(%error, "could not compare with Stripe; trying again in an hour");
        }
    }
}

async fn unless_another_did(tollgate: &Tollgate) -> Result<(), SyncError> {
    let (run, now) = (ids::new_id(), tollgate.now());
    let mut tx = tollgate.db().begin().await?;
    let is_first = drift::begin(&mut tx, &run, false, now, now.plus_seconds(-RECENT)).await?;
    drift::forget(&mut tx, now.plus_days(-KEPT_DAYS)).await?;
    tx.commit().await?;
    if is_first {
        compare(tollgate, &run, Mode::Mend, EVENTS_BACK_DAYS).await?;
    }
    Ok(())
}

async fn compare(tollgate: &Tollgate, run: &str, mode: Mode, days: i64) -> Result<Vec<Finding>, SyncError> {
    let compared = async {
        let mut findings = compare_subscriptions(tollgate, mode).await?;
        findings.extend(compare_events(tollgate, mode, days).await?);
        findings.extend(compare_unmatched(tollgate, mode).await?);
        // What was billed is not taken back by a program.
        let used = outbox::compare(tollgate).await?;
        findings.extend(used.into_iter().map(|difference| Finding::left(Drift::BilledUse(difference))));
        Ok::<_, SyncError>(findings)
    };
    let compared = compared.await;
    let found: Vec<Found> = compared.iter().flatten().map(found).collect();
    let error = compared.as_ref().err().map(ToString::to_string);
    let mut tx = tollgate.db().begin().await?;
    drift::end(&mut tx, run, &found, error.as_deref(), tollgate.now()).await?;
    tx.commit().await?;
    for finding in compared.iter().flatten() {
        let (drift, subject) = (finding.drift.to_string(), finding.drift.subject());
        if finding.is_mended {
            tracing::warn!(subject, "mended: {drift}");
        } else {
            tracing::error!(subject, "differs from Stripe: {drift}");
        }
    }
    compared
}

fn found(finding: &Finding) -> Found {
    Found {
        kind: finding.drift.kind().to_owned(),
        subject: finding.drift.subject().to_owned(),
        sentence: finding.drift.to_string(),
        is_mended: finding.is_mended,
    }
}

async fn compare_subscriptions(tollgate: &Tollgate, mode: Mode) -> Result<Vec<Finding>, SyncError> {
    let mut findings = Vec::new();
    let mut running: BTreeMap<CustomerId, Vec<SubscriptionId>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = tollgate.gateway().subscriptions_page(after.as_deref()).await?;
        for fetched in &page.data {
            if !fetched.subscription.status.is_over() {
                let of_customer = running.entry(fetched.subscription.customer.clone()).or_default();
                of_customer.push(fetched.subscription.id.clone());
            }
            findings.extend(compare_subscription(tollgate, fetched, mode).await?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    // Which of them the person wants is not for a program to decide.
    let doubled = running.into_iter().filter(|(_, subscriptions)| subscriptions.len() > 1);
    findings.extend(
        doubled
            .map(|(customer, subscriptions)| Finding::left(Drift::DuplicateSubscription { customer, subscriptions })),
    );
    Ok(findings)
}

async fn compare_subscription(
    tollgate: &Tollgate,
    fetched: &SubscriptionShape,
    mode: Mode,
) -> Result<Vec<Finding>, SyncError> {
    let mut findings = unknown_prices(tollgate, fetched);
    let there = &fetched.subscription;
    if !sync::is_current(tollgate, fetched).await? {
        let here = subscriptions::by_id(tollgate.db(), &there.id).await?.map(|stored| stored.object);
        let outcome = match mode {
            Mode::DryRun => None,
            Mode::Mend => Some(sync::subscription(tollgate, &there.id, Along::reason("reconcile")).await?),
        };
        findings.push(match outcome {
            Some(Outcome::Unmatched(customer)) => {
                Finding::left(Drift::OrphanCustomer { customer, subscription: there.id.clone() })
            }
            outcome => Finding {
                is_mended: outcome.is_some(),
                drift: Drift::WrongSubscription {
                    subscription: there.id.clone(),
                    here: here.map(|here| here.status.as_str().to_owned()),
                    there: there.status.as_str().to_owned(),
                },
            },
        });
    }
    if !there.status.is_over() {
        findings.extend(deleted_but_billed(tollgate, fetched, mode).await?);
    }
    Ok(findings)
}

fn unknown_prices(tollgate: &Tollgate, fetched: &SubscriptionShape) -> Vec<Finding> {
    let subscription = &fetched.subscription;
    if subscription.status.is_over() {
        return Vec::new();
    }
    let items = subscription.items.iter();
    let unknown = items.filter(|item| {
        !tollgate.catalog().is_metered(item)
            && tollgate.catalog().tier_of_price(&item.price, item.lookup_key.as_deref()).is_none()
    });
    unknown
        .map(|item| {
            Finding::left(Drift::UnknownPrice { subscription: subscription.id.clone(), price: item.price.clone() })
        })
        .collect()
}

/// Whoever closed their account was told that nothing is charged any more, so it is ended.
async fn deleted_but_billed(
    tollgate: &Tollgate,
    fetched: &SubscriptionShape,
    mode: Mode,
) -> Result<Option<Finding>, SyncError> {
    let (id, customer) = (&fetched.subscription.id, &fetched.subscription.customer);
    let Some(stored) = customers::by_id(tollgate.db(), customer).await? else { return Ok(None) };
    let account = stored.account;
    if !accounts::is_closed(tollgate.db(), &account).await? {
        return Ok(None);
    }
    if mode == Mode::Mend {
        tollgate.gateway().cancel_subscription(id).await?;
        sync::subscription(tollgate, id, Along::reason("account closed")).await?;
    }
    let drift = Drift::DeletedButBilled { subscription: id.clone(), account };
    Ok(Some(Finding { drift, is_mended: mode == Mode::Mend }))
}

async fn compare_events(tollgate: &Tollgate, mode: Mode, days: i64) -> Result<Vec<Finding>, SyncError> {
    let since = tollgate.now().plus_days(-days);
    let mut findings = Vec::new();
    let mut after: Option<String> = None;
    let handled: BTreeSet<&str> = handled().into_iter().collect();
    loop {
        let page = tollgate.gateway().events_page(since, after.as_deref()).await?;
        for (event, json) in page.data {
            // What changes nothing here is not missed.
            if !handled.contains(event.kind.as_str()) || Hint::of(&event).is_none() {
                continue;
            }
            if inbox::standing(tollgate.db(), &event.id).await?.is_some() {
                continue;
            }
            let drift = Drift::MissedEvent { event: event.id.clone(), kind: event.kind.clone() };
            if mode == Mode::Mend {
                let incoming = Incoming::of(event, json.to_string());
                tollgate.intake().write(tollgate.db(), incoming, tollgate.now()).await?;
                tollgate.inbox_filled().notify_one();
            }
            findings.push(Finding { drift, is_mended: mode == Mode::Mend });
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(findings),
        }
    }
}

/// Events of customers whom nobody owns: one that names an account of ours by now is linked.
async fn compare_unmatched(tollgate: &Tollgate, mode: Mode) -> Result<Vec<Finding>, SyncError> {
    let mut findings = Vec::new();
    for (customer, events) in inbox::unmatched_customers(tollgate.db()).await? {
        let object = Object::Customer(customer.clone());
        let is_mended = mode == Mode::Mend && {
            let outcome = sync::objects(tollgate, &[object].into(), Along::reason("reconcile")).await?;
            matches!(outcome, Outcome::Written(_))
        };
        findings.push(Finding { drift: Drift::Unmatched { customer, events }, is_mended });
    }
    Ok(findings)
}
