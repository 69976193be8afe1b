//! The accept loop with its limits, and the health checks.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

mod client;
mod connections;
mod readiness;
