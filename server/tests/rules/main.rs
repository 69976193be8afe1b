//! The app's rules that need no database: configuration, passwords, where to go after signing in, and
//! how pages are guarded.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

mod config;
mod guard;
mod password;
mod product;
mod safe_next;
