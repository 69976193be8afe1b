//! Counting use against limits: exact under any concurrency, once per key.
//!
//! One conditional statement decides, so that of two who ask for the last unit one
//! gets it. The record, the counter and the day are written in one transaction.

pub mod credits;

use billing::{AccountId, Entitlement, Limit, Meter, Timestamp, UsageWindow, usage_window};

use crate::store::{StoreError, usage as rows};
use crate::tollgate::Tollgate;

/// How much of a meter is used in the window that now lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterReading {
    /// Which meter.
    pub meter: Meter,
    /// How much.
    pub used: u64,
    /// Of how much.
    pub limit: Limit,
    /// From when to when.
    pub window: UsageWindow,
}

/// What came of an attempt to use something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Counted; the reading includes it.
    Counted(MeterReading),
    /// Counted before under the same key; nothing changed.
    Repeated(MeterReading),
    /// It would have passed the limit; nothing changed.
    Denied(MeterReading),
}

/// Why a use could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The key was used for something else.
    #[error("this idempotency key was used for another meter or quantity")]
    KeyReused,
    /// A quantity of zero, or beyond what can be counted.
    #[error("a quantity must be from 1 to {}", i64::MAX)]
    Quantity,
    /// The database failed; nothing was counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tollgate {
    /// All meters of an account, in the window that now lies in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn usage(&self, account: &AccountId) -> Result<Vec<MeterReading>, StoreError> {
        readings(self, account, &self.entitlement(account).await?).await
    }

    /// Counts `quantity` of `meter`, once per `key`.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub async fn record_usage(
        &self,
        account: &AccountId,
        meter: Meter,
        quantity: u64,
        key: &str,
    ) -> Result<Recorded, UsageError> {
        let quantity = i64::try_from(quantity).ok().filter(|quantity| *quantity > 0).ok_or(UsageError::Quantity)?;
        let now = self.now();
        let entitlement = self.entitlement(account).await?;
        let window = usage_window(entitlement.window_anchor, now);
        let limit = entitlement.limit(meter);
        let ceiling = match limit {
            Limit::Finite(limit) => i64::try_from(limit).unwrap_or(i64::MAX),
            Limit::Unlimited => i64::MAX,
        };
        let reading = |used: i64| MeterReading { meter, used: count(used), limit, window };

        let mut tx = self.db().begin().await.map_err(UsageError::Store)?;
        if !rows::insert_record(&mut tx, account, key, meter, quantity, now).await? {
            let before = rows::record(&mut tx, account, key).await?;
            if before.as_ref().is_none_or(|(meter_key, counted)| meter_key != meter.as_str() || *counted != quantity) {
                return Err(UsageError::KeyReused);
            }
            return Ok(Recorded::Repeated(reading(rows::used_in(&mut tx, account, meter, window.start).await?)));
        }
        let counted = if quantity > ceiling {
            None
        } else {
            rows::count_up(&mut tx, account, meter, window.start, quantity, ceiling).await?
        };
        let Some(used) = counted else {
            let used = rows::used_in(&mut tx, account, meter, window.start).await?;
            return Ok(Recorded::Denied(reading(used)));
        };
        rows::count_day(&mut tx, account, meter, midnight(now), quantity).await?;
        tx.commit().await?;
        Ok(Recorded::Counted(reading(used)))
    }
}

pub(crate) async fn readings(
    tollgate: &Tollgate,
    account: &AccountId,
    entitlement: &Entitlement,
) -> Result<Vec<MeterReading>, StoreError> {
    let window = usage_window(entitlement.window_anchor, tollgate.now());
    let used = rows::used(tollgate.db(), account, window.start).await?;
    let used = |meter: Meter| used.iter().find(|(key, _)| key == meter.as_str()).map_or(0, |(_, used)| count(*used));
    Ok(Meter::ALL
        .iter()
        .map(|&meter| MeterReading { meter, used: used(meter), limit: entitlement.limit(meter), window })
        .collect())
}

/// The beginning of the UTC day that `at` lies in.
pub(crate) const fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(billing::time::DAY))
}

fn count(used: i64) -> u64 {
    u64::try_from(used).unwrap_or_default()
}
