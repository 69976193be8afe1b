//! Comparing with Stripe, and mending what differs.
//!
//! Webhooks can be lost for good: an endpoint that was off, a table restored from a
//! backup. So Stripe's subscriptions and its events are read to their end, whatever
//! differs is named, and what is safe is mended the usual way: by fetching and
//! writing whole. One object that cannot be read is named too, and the others are
//! compared. A second run finds nothing to mend (`tests/http/reconcile.rs`).
//!
//! [`drift`] names what can differ, `compare` looks for it; here stands when.

mod compare;
pub mod drift;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::compare::Compared;
pub use self::drift::{Drift, DriftKind, Finding};
use crate::ids;
use crate::store::StoreError;
use crate::store::drift::{self as store, Found};
use crate::sync::SyncError;
use crate::tollgate::Tollgate;

/// How far back a server compares events by itself. Stripe delivers for three days; older losses
/// are seen by comparing the subscriptions themselves.
const EVENTS_BACK_DAYS: i64 = 4;
/// How long Stripe keeps events: as far back as can be compared at all.
pub const STRIPE_KEEPS_DAYS: i64 = 30;
/// Seconds within which another node's run will do.
const RECENT: i64 = 15 * 60;
/// Days for which runs are kept.
const KEPT_DAYS: i64 = 30;

/// When a server compares.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// After a start, when requests have settled.
    pub first: Duration,
    /// Between two runs.
    pub every: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { first: Duration::from_secs(30), every: Duration::from_secs(3600) }
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

/// A comparison that did not come to its end. What was mended stays mended.
#[derive(Debug, thiserror::Error)]
#[error("not everything was compared: {why}")]
pub struct BrokenOff {
    /// What was found before.
    pub findings: Vec<Finding>,
    /// What stood in the way.
    #[source]
    pub why: SyncError,
}

impl From<StoreError> for BrokenOff {
    fn from(error: StoreError) -> Self {
        Self { findings: Vec::new(), why: error.into() }
    }
}

/// Compares everything, once, with the events of the last `days`, and writes down what was found.
///
/// # Errors
/// Stripe or the database went away.
#[tracing::instrument(skip_all)]
pub async fn reconcile(tollgate: &Tollgate, mode: Mode, days: i64) -> Result<Vec<Finding>, BrokenOff> {
    let run = ids::new_id();
    let mut tx = tollgate.db().begin().await?;
    store::begin(&mut tx, &run, mode == Mode::DryRun, tollgate.now(), billing::Timestamp(i64::MAX)).await?;
    tx.commit().await?;
    carry_out(tollgate, &run, mode, days).await
}

/// Compares by a schedule until `stop`. Of several nodes one does.
pub async fn regularly(tollgate: Tollgate, schedule: Schedule, stop: CancellationToken) {
    let mut wait = schedule.first;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = schedule.every;
        if let Err(error) = unless_another_did(&tollgate).await {
            tracing::warn!(%error, "could not compare with Stripe; trying again later");
        }
    }
}

/// Compares and mends, unless this or another node did lately or is at it. Whether it did.
///
/// # Errors
/// See [`reconcile`].
pub async fn unless_another_did(tollgate: &Tollgate) -> Result<bool, BrokenOff> {
    let (run, now) = (ids::new_id(), tollgate.now());
    let mut tx = tollgate.db().begin().await?;
    let is_first = store::begin(&mut tx, &run, false, now, now.plus_seconds(-RECENT)).await?;
    store::forget(&mut tx, now.plus_days(-KEPT_DAYS)).await?;
    tx.commit().await?;
    if is_first {
        carry_out(tollgate, &run, Mode::Mend, EVENTS_BACK_DAYS).await?;
    }
    Ok(is_first)
}

async fn carry_out(tollgate: &Tollgate, run: &str, mode: Mode, days: i64) -> Result<Vec<Finding>, BrokenOff> {
    let compared = compare::everything(tollgate, mode, days).await;
    for finding in &compared.findings {
        let (drift, subject) = (finding.drift.to_string(), finding.drift.subject());
        if finding.is_mended {
            tracing::warn!(subject, "mended: {drift}");
        } else {
            tracing::error!(subject, "differs from Stripe: {drift}");
        }
    }
    let written = write_down(tollgate, run, &compared).await.err().map(SyncError::from);
    match compared.broken_off.or(written) {
        Some(why) => Err(BrokenOff { findings: compared.findings, why }),
        None => Ok(compared.findings),
    }
}

async fn write_down(tollgate: &Tollgate, run: &str, compared: &Compared) -> Result<(), StoreError> {
    let found: Vec<Found> = compared.findings.iter().map(found).collect();
    let seen: Vec<&str> = compared.seen_whole.iter().map(|kind| kind.as_str()).collect();
    let error = compared.broken_off.as_ref().map(ToString::to_string);
    let mut tx = tollgate.db().begin().await?;
    store::end(&mut tx, run, &found, &seen, error.as_deref(), tollgate.now()).await?;
    tx.commit().await
}

fn found(finding: &Finding) -> Found {
    Found {
        key: finding.drift.key(),
        kind: finding.drift.kind().as_str().to_owned(),
        subject: finding.drift.subject().to_owned(),
        sentence: finding.drift.to_string(),
        is_mended: finding.is_mended,
    }
}
