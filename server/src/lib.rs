//! The back end.
//!
//! The way of a request: route → session → guard → page → one function here →
//! store or Stripe → view. The way of a Stripe event: raw bytes → signature →
//! inbox row → 200; worker → ask Stripe again → one transaction → cached access
//! dropped.
//!
//! Only this crate names sqlx, async-stripe and axum-login.

pub mod access;
pub mod ai;
pub mod assets;
pub mod auth;
pub mod catalog_apply;
pub mod checkout;
pub mod clock;
pub mod closing;
pub mod config;
pub mod doctor;
pub mod guard;
pub mod http;
pub mod ids;
pub mod operations;
pub mod overview;
pub mod portal;
pub mod product;
pub mod reconcile;
pub mod store;
pub mod stripe;
pub mod sync;
mod tollgate;
pub mod usage;
pub mod webhook;
pub mod workspace;

pub use overview::BillingOverview;
pub use store::{Db, StoreError};
pub use tollgate::Tollgate;
pub use usage::MeterReading;
