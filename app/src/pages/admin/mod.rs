//! `/admin`: everyone's billing, for operators. For everyone else it returns 404.

pub mod account;
pub mod accounts;
pub mod changes;
pub mod drift;
pub mod event;
mod event_table;
pub mod events;
mod filter;
mod links;
mod older;
pub mod overview;
mod sections;
