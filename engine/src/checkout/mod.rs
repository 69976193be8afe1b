//! Buying a plan or a product: from a click to one Checkout Session, and back from Stripe.
//!
//! A purchase is stored as an attempt before any request to Stripe, under a lock on the account; the
//! attempt's id is the idempotency key. A double click, two tabs and two nodes therefore share one
//! session. An open session for the same purchase is reused; one for another plan is expired
//! first: an account has one open Checkout for plans, and one for each product. Stripe's own list of
//! the customer's subscriptions is read before a plan is sold (`tests/http/checkout.rs`,
//! `tests/http/purchase.rs`).

mod attempt;
mod customer;
mod error;
mod offer;
mod orphan;
mod outcome;
mod start;

pub use attempt::close_all;
pub use customer::live_customer;
pub use error::CheckoutError;
pub use outcome::{CheckoutOutcome, outcome, stored_outcome};
pub use start::{start_purchase, start_subscription};
