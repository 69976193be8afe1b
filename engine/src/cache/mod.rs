//! An in-process cache of rows, each kept until it is written.
//!
//! It caches rows, not values derived from them: an entitlement changes with the clock alone. Every write
//! drops the entries it affects, on this node after its commit and on the others by a PostgreSQL
//! notification in the same transaction; a node that has lost its connection to the notifications does
//! not use its cache. On SQLite, commands report their commits to the server (`other_processes.rs`). No entry from before a write is kept after it, and while a write is being
//! committed on this node, its subjects are read from the database (`tests/store/cache.rs`,
//! docs/decisions/0009).

mod accounts;
mod entries;
mod invalidation;
mod other_processes;

pub use accounts::Cache;
pub use entries::Entries;
pub use invalidation::{CHANNEL, Invalidation};
