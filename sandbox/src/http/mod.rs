//! The endpoints of the API: one table of routes, one file per resource.
//!
//! Invariant: a handler gets validated parameters and writes through a transaction; it does not deal
//! with HTTP.

mod call;
mod checkout;
mod credit_notes;
mod customers;
mod disputes;
mod invoices;
mod list;
pub(crate) mod meters;
mod payments;
mod platform;
mod portal;
mod prices;
mod refunds;
mod routes;
mod schedules;
mod subscriptions;

pub(crate) use call::{Call, Route};
pub(crate) use list::{matches_filters, page};
pub(crate) use routes::{best, find};
