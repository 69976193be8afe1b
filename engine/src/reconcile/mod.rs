//! Comparing with Stripe, and repairing differences.
//!
//! Webhooks can be lost permanently: the endpoint was disabled, or a table was restored from a backup. So all
//! of Stripe's subscriptions and recent events are read, every difference is reported, and safe ones are
//! repaired the usual way, by fetching and writing whole objects. An object that cannot be read is reported,
//! and the others are compared. A second run finds nothing to repair (`tests/http/reconcile.rs`).
//!
//! [`drift`] defines the differences, a file for each part finds them, `comparison` collects them, and
//! `run` records them.

mod billed_usage;
mod comparison;
mod contacts;
pub mod drift;
mod events;
mod purchases;
mod reversals;
mod run;
mod subscriptions;
mod unlinked;
mod unmatched;

pub use comparison::Mode;
pub use drift::{Drift, DriftKind, Finding};
pub use run::{Interrupted, RECENT, STRIPE_KEEPS_DAYS, reconcile, reconcile_if_due};
