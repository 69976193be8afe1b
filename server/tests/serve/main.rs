//! The accept loop with its limits, and the health checks.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

mod client;
mod connections;
mod readiness;
