//! The store's contract: what every function of `server::store` promises, on SQLite
//! and on PostgreSQL alike.
//!
//! Each test body is written once and runs as `sqlite::…` and as `postgres::…`, every
//! time in a database of its own. `TOLLGATE_TEST_POSTGRES` names a PostgreSQL where
//! databases may be made; without it the PostgreSQL half fails, it is never skipped.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

#[macro_use]
mod engines;

mod access;
mod accounts;
mod checkouts;
mod credits;
mod customers;
mod drift;
mod inbox;
mod intake;
mod ledger;
mod log;
mod login_throttle;
mod meter_events;
mod reservations;
mod schema;
mod subscriptions;
mod thresholds;
mod transactions;
mod usage;
