//! The data behind the gated pages: the part that your product replaces.
//!
//! Every function takes a [`engine::Permit`]: the data behind a page cannot be read without the plan
//! that the page requires.

pub mod analytics;
pub mod api_keys;
pub mod csv;
pub mod custom_domain;
mod error;
pub mod support;
mod usage_range;

pub use error::WorkspaceError;
pub use usage_range::UsageRange;
