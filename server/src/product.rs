//! What this app sells, by name.
//!
//! `plans.toml` declares the features and meters; these constants name them in code. Both are compared
//! when the server starts, so it does not start if a key is misspelt here or missing there
//! (`tests/rules/product.rs`).

use billing::{Feature, Meter};

/// Usage over time, by day and by API key.
pub const ADVANCED_ANALYTICS: Feature = Feature::new("advancedAnalytics");
/// Serving under the customer's own domain.
pub const CUSTOM_DOMAIN: Feature = Feature::new("customDomain");
/// Support requests that are answered first.
pub const PRIORITY_SUPPORT: Feature = Feature::new("prioritySupport");

/// Calls of the public API.
pub const API_CALLS: Meter = Meter::new("apiCallsPerMonth");
/// Generated texts.
pub const AI_GENERATIONS: Meter = Meter::new("aiGenerationsPerMonth");

/// All features that code names.
pub const FEATURES: &[Feature] = &[ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PRIORITY_SUPPORT];
/// All meters that code names.
pub const METERS: &[Meter] = &[API_CALLS, AI_GENERATIONS];
