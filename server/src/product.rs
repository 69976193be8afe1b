//! The app's features and meters, by name.
//!
//! `plans.toml` declares the features and meters; these constants name them in code. The server compares the
//! two at startup, and does not start if a key is misspelled here or missing there (`tests/rules/product.rs`).

use billing::{Feature, Meter};

/// Usage over time, by day and by API key.
pub const ADVANCED_ANALYTICS: Feature = Feature::new("advancedAnalytics");
/// Serving under the customer's own domain.
pub const CUSTOM_DOMAIN: Feature = Feature::new("customDomain");
/// Priority for support requests.
pub const PRIORITY_SUPPORT: Feature = Feature::new("prioritySupport");

/// Calls of the public API.
pub const API_CALLS: Meter = Meter::new("apiCallsPerMonth");
/// AI generations.
pub const AI_GENERATIONS: Meter = Meter::new("aiGenerationsPerMonth");

/// All features named in code.
pub const FEATURES: &[Feature] = &[ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PRIORITY_SUPPORT];
/// All meters named in code.
pub const METERS: &[Meter] = &[API_CALLS, AI_GENERATIONS];
