//! Stripe billing for any axum app: plans, Checkout, webhooks, entitlements, exact usage and
//! reconciliation.
//!
//! The engine knows accounts, not users: the host's id is the account id. It has no pages and no sessions,
//! and reads no environment; [`settings`] are values. A host builds an [`Engine`], starts its tasks with
//! [`Engine::spawn`], mounts the webhook, and calls the functions of [`checkout`], [`metering`],
//! [`portal`] and [`overview`] (docs/EMBED.md).
//!
//! From the ground up: [`clock`], [`ids`] and [`settings`]; [`store`], the database; [`stripe`], the
//! gateway; [`inbox`], the received events; [`cache`]; [`Core`], which holds these parts; then the
//! modules whose functions take a `Core`; then [`tasks`], which run in the background; then [`Engine`],
//! the handle, which only [`axum`](crate::axum) uses.

pub mod accounts;
#[cfg(feature = "axum")]
pub mod axum;
mod backoff;
pub mod cache;
pub mod catalog;
pub mod changes;
pub mod checkout;
pub mod clock;
pub mod closing;
mod core;
pub mod customer_link;
pub mod doctor;
mod engine;
mod idempotency_key;
pub mod ids;
pub mod inbox;
pub mod metering;
pub mod overview;
pub mod permit;
pub mod portal;
pub mod reconcile;
pub mod settings;
pub mod store;
pub mod stripe;
pub mod stripe_account;
pub mod sync;
pub mod tasks;
pub mod webhook_endpoint;

pub use self::core::Core;
pub use accounts::Billable;
pub use changes::BillingChange;
pub use engine::{BuildError, Engine, EngineBuilder};
pub use permit::{Permit, PermitDenied, permit};
pub use settings::{DatabaseUrl, StripeSettings, Urls};
pub use store::{Db, StoreError};
