//! The whole stack over HTTP: pages, actions, guard, webhook and API in front of a
//! real database and the sandbox. Every test runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

#[path = "../support/mod.rs"]
mod support;

