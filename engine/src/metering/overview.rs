//! An account's meters, with their notices.

use billing::{AccountId, Entitlement};

use super::meters::readings;
use super::notices::{Notice, notices};
use super::reading::MeterReading;
use crate::core::Core;
use crate::store::StoreError;

/// The usage of the current window.
#[derive(Clone, Debug)]
pub struct UsageOverview {
    /// All meters.
    pub meters: Vec<MeterReading>,
    /// The notices of meters that have reached 80 or 100 percent, unless dismissed.
    pub notices: Vec<Notice>,
}

/// Reads an account's usage. `entitlement` is the account's own.
pub async fn overview(
    core: &Core,
    account: &AccountId,
    entitlement: &Entitlement,
) -> Result<UsageOverview, StoreError> {
    let meters = readings(core, account, entitlement).await?;
    Ok(UsageOverview { notices: notices(core, account, &meters).await?, meters })
}
