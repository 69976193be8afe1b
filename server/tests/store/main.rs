//! The contract of every function of `server::store`, on SQLite and PostgreSQL alike.
//!
//! A test is written once and runs as `sqlite::…` and as `postgres::…`, each time in its own database.
//! `TOLLGATE_TEST_POSTGRES` specifies a PostgreSQL server on which databases may be created; without it the
//! PostgreSQL half fails. It is never skipped.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

#[macro_use]
#[path = "../../../engine/tests/support/databases.rs"]
#[expect(dead_code, reason = "the engine's tests use more of it")]
mod databases;
mod people;
#[path = "../../../engine/tests/support/statements.rs"]
mod statements;
mod tables;

mod api_keys;
mod custom_domains;
mod known_devices;
mod login_throttle;
mod schema;
mod sessions;
mod support_messages;
mod users;
