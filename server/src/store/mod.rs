//! The app's own tables, next to the engine's in one database: users, sessions and the workspace.
//!
//! As in the engine, a statement is written once for SQLite and PostgreSQL, and functions that write
//! take a [`Tx`].

pub mod api_keys;
pub mod custom_domains;
pub mod known_devices;
pub mod login_throttle;
mod migrations;
mod schema;
pub mod sessions;
pub mod support_messages;
pub mod users;

pub use engine::store::StoreError;
pub use migrations::{is_migrated, migrate};
pub use schema::all_statements;
