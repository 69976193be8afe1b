//! The app's back end, around the billing engine: users and sessions, the workspace behind the gated
//! pages, operators, the API, and HTTP.
//!
//! A request: route → session → gate → page or server function → one function here or in the engine →
//! database or Stripe → view.

pub mod admin;
pub mod ai;
pub mod assets;
pub mod auth;
pub mod closing;
pub mod config;
pub mod cookie;
pub mod demo;
pub mod hashing;
pub mod http;
pub mod portal_return;
pub mod product;
pub mod quota;
pub mod store;
mod tollgate;
mod uninterrupted;
pub mod user_cache;
pub mod workspace;

pub use tollgate::{Tollgate, TollgateError};
