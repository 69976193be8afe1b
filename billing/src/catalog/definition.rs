//! The features and meters that `plans.toml` declares.

use crate::catalog::metered_price::MeteredPrice;
use crate::keys::{Feature, Meter};

/// A declared feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDefinition {
    /// Its key.
    pub feature: Feature,
    /// Its name on pages.
    pub label: String,
}

/// A declared meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterDefinition {
    /// Its key.
    pub meter: Meter,
    /// Its name on pages, in the plural.
    pub label: String,
    /// The price of overage; `None` if overage is denied.
    pub metered_price: Option<MeteredPrice>,
}
