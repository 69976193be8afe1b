//! One running Tollgate per test: its own database, its own sandbox, its own ports.

#![allow(dead_code, unused_imports, unused_macros, reason = "every test program uses its own part")]

mod browser;
mod config;
mod database;
mod harness;
mod program;
mod stripe;
mod wait;

pub use browser::{Banner, Browser, Page, datetime};
pub use config::{CENTS_PER_CALL, WEBHOOK_SECRETS, assets, config, free_address};
pub(crate) use database::on_both_databases;
pub use database::{Database, DatabaseKind, Outage};
pub use harness::Harness;
pub use program::{Program, tollgate};
pub use stripe::{DECLINES, FAILS_LATER, PAYS, THREE_D_SECURE, deliver, event, pay, signed};
pub use wait::until;
