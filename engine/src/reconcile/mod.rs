//! Comparing with Stripe, and repairing what differs.
//!
//! Webhooks can be lost for good: an endpoint that was disabled, a table restored from a backup. So
//! all of Stripe's subscriptions and recent events are read, every difference is reported, and what is
//! safe is repaired the usual way, by fetching and writing whole objects. An object that cannot be
//! read is reported, and the others are compared. A second run finds nothing to repair
//! (`tests/http/reconcile.rs`).
//!
//! [`drift`] names what can differ, `comparison` collects it, a file for each part looks for it, and
//! `run` records it.

mod billed_usage;
mod comparison;
pub mod drift;
mod events;
mod run;
mod subscriptions;
mod unmatched;

pub use comparison::Mode;
pub use drift::{Drift, DriftKind, Finding};
pub use run::{Interrupted, STRIPE_KEEPS_DAYS, reconcile, reconcile_if_due};
