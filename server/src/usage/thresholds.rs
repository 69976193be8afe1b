//! Notices that a meter has come to 80 or 100 percent of its limit: raised once per window, in
//! the transaction that counts, and shown until they are dismissed or no longer true
//! (`tests/store/thresholds.rs`).

use billing::{AccountId, Limit, Meter, Timestamp};

use super::MeterReading;
use crate::store::{StoreError, notices as rows};
use crate::tollgate::Tollgate;

/// How much of a limit is worth a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// 80 percent.
    Near,
    /// 100 percent.
    Reached,
}

impl Threshold {
    /// Both, the lower first.
    pub const ALL: [Self; 2] = [Self::Near, Self::Reached];

    /// Its number, as it is kept.
    pub const fn percent(self) -> i64 {
        match self {
            Self::Near => 80,
            Self::Reached => 100,
        }
    }

    /// The one with this number.
    pub fn parse(percent: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|threshold| threshold.percent() == percent)
    }

    /// Whether `used` has come to it. Nothing comes near where there is no limit or nothing included.
    pub fn is_reached(self, used: u64, limit: Limit) -> bool {
        match limit {
            Limit::Unlimited | Limit::Finite(0) => false,
            Limit::Finite(limit) => {
                u128::from(used) * 100 >= u128::from(limit) * u128::from(self.percent().unsigned_abs())
            }
        }
    }
}

/// A notice to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The meter's name on pages.
    pub label: String,
    /// What has come to it.
    pub threshold: Threshold,
    /// How the meter stands now.
    pub reading: MeterReading,
    /// When it was raised.
    pub raised_at: Timestamp,
}

/// What is to be shown of `readings`: for each meter the highest threshold that it has come to in
/// this window, unless it was dismissed or a higher limit has made it untrue.
pub(crate) async fn notices(
    tollgate: &Tollgate,
    account: &AccountId,
    readings: &[MeterReading],
) -> Result<Vec<Notice>, StoreError> {
    let Some(window) = readings.first().map(|reading| reading.window.start) else { return Ok(Vec::new()) };
    // Most have none, and then nobody need look.
    let is_near = |reading: &MeterReading| Threshold::Near.is_reached(reading.used, reading.limit);
    if !readings.iter().any(is_near) {
        return Ok(Vec::new());
    }
    let open = rows::open(tollgate.db(), account, window).await?;
    Ok(readings
        .iter()
        .filter_map(|reading| {
            let raised = open.iter().filter(|(meter, ..)| meter == reading.meter.as_str());
            raised
                .filter_map(|(_, percent, at)| Some((Threshold::parse(*percent)?, Timestamp(*at))))
                .filter(|(threshold, _)| threshold.is_reached(reading.used, reading.limit))
                .max()
                .map(|(threshold, raised_at)| Notice {
                    label: tollgate.catalog().meter_label(reading.meter).to_owned(),
                    threshold,
                    reading: reading.clone(),
                    raised_at,
                })
        })
        .collect())
}

impl Tollgate {
    /// Dismisses the notice of a meter in the window that now lies in. One that comes to a higher
    /// threshold later is shown again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn dismiss_notice(
        &self,
        account: &AccountId,
        meter: Meter,
        threshold: Threshold,
    ) -> Result<(), StoreError> {
        let entitlement = self.entitlement(account).await?;
        let window = billing::usage_window(entitlement.window_anchor, self.now()).start;
        let mut tx = self.db().begin().await?;
        rows::dismiss(&mut tx, account, meter.as_str(), window, threshold.percent(), self.now()).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_with_the_unit_that_comes_to_it() {
        let limit = Limit::Finite(10);
        assert_eq!([7, 8, 9, 10].map(|used| Threshold::Near.is_reached(used, limit)), [false, true, true, true]);
        assert_eq!([9, 10, 11].map(|used| Threshold::Reached.is_reached(used, limit)), [false, true, true]);
        assert!(!Threshold::Near.is_reached(u64::MAX, Limit::Unlimited));
        assert!(!Threshold::Near.is_reached(0, Limit::Finite(0)), "what a plan does not include is no news");
    }
}
