//! The pages, a file for each.

#![allow(clippy::needless_pass_by_value, reason = "a component owns its properties")]

mod account;
mod admin;
mod analytics;
mod api_keys;
mod api_reference;
mod billing;
mod billing_success;
mod billing_upgrade;
mod custom_domain;
mod dashboard;
mod landing;
mod log_in;
mod pricing;
mod router;
mod sign_up;
mod support;

pub use router::Pages;
