//! Notices that a meter has reached 80 or 100 percent of its limit: raised once per window, in the
//! transaction that counts, and shown until they are dismissed or no longer true
//! (`tests/store/thresholds.rs`).

use billing::{AccountId, Meter, Timestamp};

use super::reading::MeterReading;
use super::threshold::Threshold;
use crate::core::Core;
use crate::store::{StoreError, notices as rows};

/// A notice to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The share of the limit that was reached.
    pub threshold: Threshold,
    /// The meter now.
    pub reading: MeterReading,
    /// When it was raised.
    pub raised_at: Timestamp,
}

/// Returns the notices to show for `readings`: for each meter the highest threshold that it has reached
/// in this window, unless that was dismissed or no longer applies after the limit was raised.
pub async fn notices(core: &Core, account: &AccountId, readings: &[MeterReading]) -> Result<Vec<Notice>, StoreError> {
    let Some(window) = readings.first().map(|reading| reading.window.start) else { return Ok(Vec::new()) };
    // Most accounts have none, which needs no query.
    if !readings.iter().any(|reading| Threshold::Near.is_reached(reading.used, reading.limit)) {
        return Ok(Vec::new());
    }
    let open = rows::open(core.db(), account, window).await?;
    let notice = |reading: &MeterReading| {
        let raised = open.iter().filter(|notice| notice.meter == reading.meter.as_str());
        raised
            .filter_map(|notice| Some((Threshold::parse(notice.percent)?, Timestamp(notice.raised_at))))
            .filter(|(threshold, _)| threshold.is_reached(reading.used, reading.limit))
            .max()
            .map(|(threshold, raised_at)| Notice { threshold, reading: reading.clone(), raised_at })
    };
    Ok(readings.iter().filter_map(notice).collect())
}

/// Dismisses the notice of a meter in the current window. A higher threshold reached later is still
/// shown.
pub async fn dismiss_notice(
    core: &Core,
    account: &AccountId,
    meter: Meter,
    threshold: Threshold,
) -> Result<(), StoreError> {
    let entitlement = core.entitlement(account).await?;
    let now = core.now();
    let window = billing::usage_window(entitlement.window_anchor, now).start;
    let mut tx = core.db().begin().await?;
    rows::dismiss(&mut tx, account, meter.as_str(), window, threshold.percent(), now).await?;
    tx.commit().await
}
