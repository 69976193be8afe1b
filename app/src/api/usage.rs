//! Usage in the current window, and notices about it.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
#[cfg(feature = "ssr")]
use {
    billing::Policy,
    engine::metering::{self, Threshold},
    server::auth::safe_next,
};

use super::error::ApiError;
use super::reply::{Reply, SeeOther};
use super::strict_form::{StrictForm, StrictQuery};
#[cfg(feature = "ssr")]
use crate::caller::Caller;
#[cfg(feature = "ssr")]
use crate::failure::Failure;

/// The account's usage in the current window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All meters.
    pub meters: Vec<MeterUsage>,
    /// The meters that have reached 80 or 100 percent, unless dismissed.
    pub notices: Vec<UsageNotice>,
}

impl Reply for Usage {}

/// The usage of one meter in the current window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterUsage {
    /// Its key, such as `apiCallsPerMonth`.
    pub key: String,
    /// Its name.
    pub label: String,
    /// Units used from the limit.
    pub used: u64,
    /// Units of the limit reserved for work in progress.
    pub reserved: u64,
    /// The limit; `None` for unlimited.
    pub limit: Option<u64>,
    /// Units used beyond the limit, from credits.
    pub from_credits: u64,
    /// Credits left; negative if used credits were refunded.
    pub credits: i64,
    /// Units used beyond limit and credits, which are billed.
    pub overage: u64,
    /// Whether usage beyond limit and credits is denied or billed.
    pub overage_policy: OveragePolicy,
    /// When the window ends, in epoch seconds.
    pub resets_at: i64,
}

/// The handling of usage beyond the limit and the credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OveragePolicy {
    /// It is denied.
    Denied,
    /// It is billed.
    Billed {
        /// The price of a unit, if the catalog has it.
        unit: Option<String>,
        /// The most units billed per window; more is denied.
        max: u64,
    },
}

/// A meter that has reached a threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageNotice {
    /// The threshold, in percent of the limit.
    pub percent: i64,
    /// The current reading of the meter.
    pub meter: MeterUsage,
}

/// Returns the account's usage in the current window.
#[server(name = GetUsage, prefix = "/api/billing", endpoint = "usage", protocol = StrictQuery)]
pub async fn usage() -> Result<Usage, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::require(Policy::SignedIn)?;
    let usage = metering::overview(&tollgate, permit.account_id(), permit.entitlement()).await;
    Ok(Usage::of(tollgate.catalog(), &usage.map_err(Failure::store)?))
}

/// Dismisses a notice until the meter's next threshold or window.
#[server(prefix = "/dashboard/notices", endpoint = "dismiss", protocol = StrictForm)]
pub async fn dismiss_usage_notice(
    /// The meter's key.
    meter: String,
    /// The notice's threshold.
    percent: i64,
    /// The page to go back to.
    #[server(default)]
    next: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::require(Policy::SignedIn)?;
    let meter = tollgate.catalog().meter(&meter).ok_or(Failure::Malformed)?;
    let threshold = Threshold::parse(percent).ok_or(Failure::Malformed)?;
    metering::dismiss_notice(&tollgate, permit.account_id(), meter, threshold).await.map_err(Failure::store)?;
    Ok(SeeOther::to(safe_next(Some(&next))))
}

#[cfg(feature = "ssr")]
mod ssr {
    use billing::{Catalog, Limit, Overage};
    use engine::metering::{MeterReading, UsageOverview};

    use super::{MeterUsage, OveragePolicy, Usage, UsageNotice};

    impl Usage {
        /// Adds the catalog's labels and prices to usage.
        pub fn of(catalog: &Catalog, usage: &UsageOverview) -> Self {
            let notices = usage.notices.iter().map(|notice| UsageNotice {
                percent: notice.threshold.percent(),
                meter: MeterUsage::of(catalog, &notice.reading),
            });
            Self {
                notices: notices.collect(),
                meters: usage.meters.iter().map(|reading| MeterUsage::of(catalog, reading)).collect(),
            }
        }
    }

    impl MeterUsage {
        /// Adds the catalog's label and price to a reading.
        pub fn of(catalog: &Catalog, reading: &MeterReading) -> Self {
            let unit = || catalog.metered_price(reading.meter)?.unit.as_ref().map(ToString::to_string);
            Self {
                key: reading.meter.as_str().to_owned(),
                label: catalog.meter_label(reading.meter).to_owned(),
                used: reading.used,
                reserved: reading.reserved,
                limit: match reading.limit {
                    Limit::Finite(limit) => Some(limit),
                    Limit::Unlimited => None,
                },
                from_credits: reading.from_credits,
                credits: reading.credits,
                overage: reading.overage,
                overage_policy: match reading.overage_policy {
                    Overage::Deny => OveragePolicy::Denied,
                    Overage::Bill { max } => OveragePolicy::Billed { unit: unit(), max },
                },
                resets_at: reading.window.end.0,
            }
        }
    }
}
