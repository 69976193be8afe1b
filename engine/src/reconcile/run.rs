//! Reconciliations, and their record for operators.

use billing::Timestamp;

use super::comparison::{Comparison, Mode, Scope, scope};
use super::drift::{DriftKind, Finding};
use super::{billed_usage, contacts, events, purchases, reversals, subscriptions, unlinked, unmatched};
use crate::core::Core;
use crate::ids;
use crate::store::StoreError;
use crate::store::drift::{self as store, Found};
use crate::stripe_account;
use crate::sync::SyncError;

/// The number of days for which a scheduled run compares events. Stripe retries for three days; older
/// losses show in the subscriptions themselves.
const SCHEDULED_DAYS: i64 = 4;
/// The number of days for which Stripe keeps events: the most that can be compared.
pub const STRIPE_KEEPS_DAYS: i64 = 30;
/// The age up to which another node's run is recent enough, in seconds.
pub const RECENT: u32 = 15 * 60;
/// The number of days for which runs are kept.
const KEPT_DAYS: i64 = 30;

/// A comparison that did not complete. Completed repairs remain.
#[derive(Debug, thiserror::Error)]
#[error("the comparison did not complete: {cause}")]
pub struct Interrupted {
    /// The findings before the error.
    pub findings: Vec<Finding>,
    /// The error that ended it.
    #[source]
    pub cause: SyncError,
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self { findings: Vec::new(), cause: error.into() }
    }
}

/// Compares everything once, with the events of the last `days`, and records the findings.
#[tracing::instrument(skip_all)]
pub async fn reconcile(core: &Core, mode: Mode, days: i64) -> Result<Vec<Finding>, Interrupted> {
    let run = ids::new_id();
    let mut tx = core.db().begin().await?;
    store::begin(&mut tx, &run, mode == Mode::DryRun, core.now(), Timestamp(i64::MAX)).await?;
    tx.commit().await?;
    execute(core, &run, mode, days, false).await
}

/// Compares and repairs, unless any node has a recent run. Returns whether it did.
pub async fn reconcile_if_due(core: &Core) -> Result<bool, Interrupted> {
    let (run, now) = (ids::new_id(), core.now());
    let days = scheduled_days(core).await?;
    let mut tx = core.db().begin().await?;
    let is_due = store::begin(&mut tx, &run, false, now, now.plus_seconds(-i64::from(RECENT))).await?;
    store::forget(&mut tx, now.plus_days(-KEPT_DAYS)).await?;
    unlinked::forget(&mut tx, now).await?;
    tx.commit().await?;
    if is_due {
        execute(core, &run, Mode::Repair, days, true).await?;
    }
    Ok(is_due)
}

/// How far back a scheduled run compares, in days: to the last complete one, because the server may not have been
/// running.
async fn scheduled_days(core: &Core) -> Result<i64, StoreError> {
    let last = store::last_complete(core.db()).await?;
    let away = last.map_or(0, |last| (core.now().0 - last.0).div_euclid(86_400));
    Ok((away + SCHEDULED_DAYS).min(STRIPE_KEEPS_DAYS))
}

async fn execute(
    core: &Core,
    run: &str,
    mode: Mode,
    days: i64,
    is_scheduled: bool,
) -> Result<Vec<Finding>, Interrupted> {
    let compared = match stripe_account::verify(core).await {
        Ok(_) => compare(Comparison { core, mode, is_scheduled, findings: Vec::new() }, days).await,
        Err(error) => Compared { findings: Vec::new(), complete: Vec::new(), interrupted: Some(error.into()) },
    };
    for finding in &compared.findings {
        let (drift, subject) = (&finding.drift, finding.drift.subject());
        if finding.is_fixed {
            tracing::warn!(subject, "repaired: {drift}");
        } else if drift.kind() == DriftKind::ReversedPayment {
            tracing::warn!(subject, "{drift}");
        } else {
            tracing::error!(subject, "differs from Stripe: {drift}");
        }
    }
    let recorded = record(core, run, &compared).await.err().map(SyncError::from);
    match compared.interrupted.or(recorded) {
        Some(cause) => Err(Interrupted { findings: compared.findings, cause }),
        None => Ok(compared.findings),
    }
}

/// The result of a comparison.
struct Compared {
    findings: Vec<Finding>,
    /// The classes that were compared completely.
    complete: Vec<DriftKind>,
    /// The first error that ended a part early.
    interrupted: Option<SyncError>,
}

async fn compare(mut comparison: Comparison<'_>, days: i64) -> Compared {
    let since = comparison.core.now().plus_days(-days);
    let mut complete = Vec::new();
    let mut interrupted = None;
    for part in Part::ALL {
        let before = comparison.findings.len();
        let compared = match part {
            Part::Subscriptions => subscriptions::compare(&mut comparison).await,
            Part::Purchases => purchases::compare(&mut comparison, since).await,
            Part::Events => events::compare(&mut comparison, days).await,
            Part::Unmatched => unmatched::compare(&mut comparison).await,
            Part::Reversals => reversals::report(&mut comparison).await,
            Part::BilledUsage => billed_usage::compare(&mut comparison).await,
            Part::Contacts => contacts::erase(&mut comparison).await,
        };
        match compared {
            Ok(()) => {
                let found = &comparison.findings[before..];
                let is_complete = found.iter().all(|finding| finding.drift.kind() != DriftKind::NotCompared);
                complete.extend_from_slice(part.kinds(is_complete));
            }
            Err(error) => {
                // A key that may not list events, for example, can still read subscriptions.
                let ends_everything = scope(&error) == Scope::Everything;
                interrupted.get_or_insert(error);
                if ends_everything {
                    break;
                }
            }
        }
    }
    if interrupted.is_none() {
        complete.push(DriftKind::NotCompared);
    }
    Compared { findings: comparison.findings, complete, interrupted }
}

#[derive(Clone, Copy)]
enum Part {
    Subscriptions,
    Purchases,
    Events,
    Unmatched,
    Reversals,
    BilledUsage,
    Contacts,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Subscriptions,
        Self::Purchases,
        Self::Events,
        Self::Unmatched,
        Self::Reversals,
        Self::BilledUsage,
        Self::Contacts,
    ];

    /// Returns the classes that this part finds completely. Those about a customer need all of the customer's
    /// subscriptions, so they are excluded if an object could not be read.
    const fn kinds(self, is_complete: bool) -> &'static [DriftKind] {
        use DriftKind::{
            BilledUsage, DeletedButBilled, DuplicateSubscription, MissedEvent, MissingSubscription, OrphanCustomer,
            ReversedPayment, UnknownPrice, Unmatched, WrongPurchase, WrongSubscription,
        };
        match (self, is_complete) {
            (Self::Subscriptions, true) => &[
                WrongSubscription,
                MissingSubscription,
                UnknownPrice,
                DeletedButBilled,
                DuplicateSubscription,
                OrphanCustomer,
            ],
            (Self::Subscriptions, false) => &[WrongSubscription, MissingSubscription, UnknownPrice, DeletedButBilled],
            (Self::Purchases, _) => &[WrongPurchase],
            (Self::Events, _) => &[MissedEvent],
            (Self::Unmatched, _) => &[Unmatched],
            (Self::Reversals, _) => &[ReversedPayment],
            (Self::BilledUsage, _) => &[BilledUsage],
            (Self::Contacts, _) => &[],
        }
    }
}

async fn record(core: &Core, run: &str, compared: &Compared) -> Result<(), StoreError> {
    let found: Vec<Found> = compared.findings.iter().map(found).collect();
    let complete: Vec<&str> = compared.complete.iter().map(|kind| kind.as_str()).collect();
    let error = compared.interrupted.as_ref().map(ToString::to_string);
    let mut tx = core.db().begin().await?;
    store::end(&mut tx, run, &found, &complete, error.as_deref(), core.now()).await?;
    tx.commit().await
}

fn found(finding: &Finding) -> Found {
    Found {
        key: finding.drift.key(),
        kind: finding.drift.kind().as_str().to_owned(),
        subject: finding.drift.subject().to_owned(),
        description: finding.drift.to_string(),
        is_fixed: finding.is_fixed,
    }
}
