//! What was read from the database, until it is written.
//!
//! A cache holds what was read, not what follows from it: an entitlement changes with the clock alone.
//! Every write drops what it changes, on this node after its commit and on the others by a PostgreSQL
//! notification in the same transaction; a node that has lost its connection to the notifications does
//! not use its caches. No answer from before a write is kept after it, and while a write is being
//! committed on this node, its subjects are read from the database (`tests/store/cache.rs`,
//! docs/decisions/0009).

mod accounts;
mod entries;
mod invalidation;

pub use accounts::Cache;
pub use entries::Entries;
pub use invalidation::{CHANNEL, Invalidation};
