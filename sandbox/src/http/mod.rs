//! The API's endpoints: one table of routes, one file per resource.
//!
//! Invariant: a handler sees checked parameters and writes through the transaction it is given;
//! it never sees HTTP.

mod call;
mod checkout;
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
