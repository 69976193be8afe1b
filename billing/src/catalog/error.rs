//! The errors in a catalog.

/// All errors in a `plans.toml`, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct CatalogErrors(pub Vec<String>);
