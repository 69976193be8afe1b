//! Comparing what is written here with what Stripe has, and mending what can be.
//!
//! Webhooks may be lost for good: an endpoint that was off, a table restored from a
//! backup. So Stripe's subscriptions and its events are read to their end, whatever
//! differs is named, and what is safe is mended the usual way: by fetching and
//! writing whole. A second run finds nothing (`tests/http/reconcile.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use billing::{CustomerId, EventId, PriceId, SubscriptionId};
use tokio_util::sync::CancellationToken;

use crate::store::inbox::{self, EventState};
use crate::store::{accounts, subscriptions};
use crate::stripe::shape::{self, SubscriptionShape};
use crate::sync::{self, Along, SyncError, Synced};
use crate::tollgate::Tollgate;
use crate::webhook::hint::Hint;
use crate::webhook::intake::Incoming;

/// How far back events are compared. Stripe delivers for three days; older losses are
/// seen by comparing the subscriptions themselves.
const EVENTS_BACK_DAYS: i64 = 4;
/// Between two runs of a server.
const EVERY: Duration = Duration::from_secs(3600);
/// After a start, when requests have settled.
const FIRST: Duration = Duration::from_secs(30);

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
}

/// One difference, and whether it was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub drift: Drift,
    /// Whether it does not any more.
    pub is_mended: bool,
}

/// Whether to change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only look.
    DryRun,
    /// Mend what is safe.
    Mend,
}

/// Compares everything, once.
///
/// # Errors
/// Stripe or the database could not be read; what was mended before stays mended.
#[tracing::instrument(skip_all)]
pub async fn reconcile(tollgate: &Tollgate, mode: Mode) -> Result<Vec<Finding>, SyncError> {
    let mut findings = compare_subscriptions(tollgate, mode).await?;
    findings.extend(compare_events(tollgate, mode).await?);
    for finding in &findings {
        if finding.is_mended {
            tracing::warn!(drift = ?finding.drift, "mended");
        } else {
            tracing::error!(drift = ?finding.drift, "differs from Stripe");
        }
    }
    Ok(findings)
}

/// Compares some time after the start and then every hour, until `stop`.
pub async fn regularly(tollgate: Tollgate, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        if let Err(error) = reconcile(&tollgate, Mode::Mend).await {
            tracing::warn!(%error, "could not compare with Stripe; trying again in an hour");
        }
    }
}

async fn compare_subscriptions(tollgate: &Tollgate, mode: Mode) -> Result<Vec<Finding>, SyncError> {
    let mut findings = Vec::new();
    let mut running: BTreeMap<CustomerId, Vec<SubscriptionId>> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = tollgate.gateway().subscriptions_page(after.as_ref()).await?;
        for fetched in page.data {
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
    findings.extend(doubled.map(|(customer, subscriptions)| Finding {
        drift: Drift::DuplicateSubscription { customer, subscriptions },
        is_mended: false,
    }));
    Ok(findings)
}

async fn compare_subscription(
    tollgate: &Tollgate,
    fetched: SubscriptionShape,
    mode: Mode,
) -> Result<Vec<Finding>, SyncError> {
    let (id, customer) = (fetched.subscription.id.clone(), fetched.subscription.customer.clone());
    let there = fetched.subscription.status.as_str().to_owned();
    let catalog = tollgate.catalog();
    let is_over = fetched.subscription.status.is_over();
    let mut findings: Vec<Finding> = fetched
        .subscription
        .items
        .iter()
        .filter(|item| !is_over && catalog.tier_of_price(&item.price, item.lookup_key.as_deref()).is_none())
        .map(|item| Finding {
            drift: Drift::UnknownPrice { subscription: id.clone(), price: item.price.clone() },
            is_mended: false,
        })
        .collect();

    let here = subscriptions::by_id(tollgate.db(), &id).await?.map(|stored| stored.subscription);
    let should_be = sync::remember(fetched, here.as_ref(), catalog);
    if here.as_ref() == Some(&should_be) {
        return Ok(findings);
    }
    let is_mended = match mode {
        Mode::DryRun => false,
        Mode::Mend => matches!(sync::subscription(tollgate, &id, &Along::default()).await?, Synced::Written(_)),
    };
    let is_orphan = !is_mended && accounts::account_of(tollgate.db(), &customer).await?.is_none();
    let drift = if is_orphan && mode == Mode::Mend {
        Drift::OrphanCustomer { customer, subscription: id }
    } else {
        let here = here.map(|here| here.status.as_str().to_owned());
        Drift::WrongSubscription { subscription: id, here, there }
    };
    findings.push(Finding { drift, is_mended });
    Ok(findings)
}

async fn compare_events(tollgate: &Tollgate, mode: Mode) -> Result<Vec<Finding>, SyncError> {
    let since = tollgate.now().plus_days(-EVENTS_BACK_DAYS);
    let mut findings = Vec::new();
    let mut after = None;
    loop {
        let page = tollgate.gateway().events_page(since, after.as_ref()).await?;
        for (event, json) in page.data {
            // What changes nothing here is not missed.
            let Some(hint) = Hint::of(&event) else { continue };
            if inbox::standing(tollgate.db(), &event.id).await?.is_some() {
                continue;
            }
            let drift = Drift::MissedEvent { event: event.id.clone(), kind: event.kind.clone() };
            if mode == Mode::Mend {
                let incoming = Incoming {
                    subject: Some(hint.subject().to_owned()),
                    customer: shape::id_of(&event.object, "/customer"),
                    payload: json.to_string(),
                    state: EventState::Pending,
                    id: event.id,
                    kind: event.kind,
                    api_version: event.api_version,
                    created: event.created,
                };
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
