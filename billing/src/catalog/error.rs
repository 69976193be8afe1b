//! What is wrong with a catalogue.

/// Everything that is wrong with a `plans.toml`, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct CatalogErrors(pub Vec<String>);
