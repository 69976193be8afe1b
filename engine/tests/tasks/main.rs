//! The background tasks, in a running engine.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

#[macro_use]
#[path = "../support/databases.rs"]
#[allow(dead_code, reason = "every test program uses its own part")]
mod databases;
#[path = "../support/samples.rs"]
#[allow(dead_code, reason = "every test program uses its own part")]
mod samples;
#[path = "../support/tables.rs"]
mod tables;

mod changes;
mod spawning;
