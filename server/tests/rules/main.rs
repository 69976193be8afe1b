//! The back end's rules that need no database: what is believed, read, let in, and
//! taken as configuration.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

mod config;
mod guard;
mod hint;
mod password;
mod safe_next;
mod shape;
mod signature;
