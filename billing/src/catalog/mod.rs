//! Everything that is sold: plans with their prices and limits, and one-time products.
//!
//! The only source is `plans.toml`. It is read and validated as a whole: every error is
//! reported, and none is corrected silently (`tests/catalog.rs`).

mod definition;
mod error;
mod field;
mod interval;
mod lookup;
mod metered_price;
mod on_pause;
mod on_reversal;
mod plan;
mod product;
mod table;
mod validate;

pub use definition::{FeatureDefinition, MeterDefinition};
pub use error::CatalogErrors;
pub use interval::Interval;
pub use lookup::Catalog;
pub use metered_price::MeteredPrice;
pub use on_pause::OnPause;
pub use on_reversal::{OnDispute, OnFullRefund};
pub use plan::{Plan, Price, Tier};
pub use product::Product;
