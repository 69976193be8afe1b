//! The app's rules that need no database: configuration, passwords, and the redirects of visitors.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

mod config;
mod guard;
mod password;
mod product;
mod safe_next;
