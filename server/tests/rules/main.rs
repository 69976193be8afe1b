//! The back end's rules that need no database: what is believed, read, let in, and
//! taken as configuration.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

mod clock;
mod config;
mod events;
mod fixtures;
mod guard;
mod ledger_shapes;
mod password;
mod product;
mod safe_next;
mod shape;
mod signature;
mod what_stripe_adds;
