//! The contract of `engine::store`, and of the code on top of it that needs a real database, on SQLite and
//! on PostgreSQL.
//!
//! A test is written once and runs as `sqlite::…` and as `postgres::…`, each time in its own database.
//! `TOLLGATE_TEST_POSTGRES` specifies a PostgreSQL server on which databases may be created; without it the
//! PostgreSQL half fails. It is never skipped.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

#[macro_use]
#[path = "../support/databases.rs"]
mod databases;
#[path = "../support/samples.rs"]
mod samples;
#[path = "../support/statements.rs"]
mod statements;
#[path = "../support/tables.rs"]
mod tables;

mod accounts;
mod billing_changes;
mod cache;
mod changes;
mod checkouts;
mod credits;
mod customers;
mod drift;
mod inbox;
mod intake;
mod ledger;
mod meter_events;
mod migrations;
mod plans;
mod proxy;
mod reservations;
mod schema;
mod stripe_account;
mod subscriptions;
mod thresholds;
mod transactions;
mod trials;
mod unanswered;
mod usage;
