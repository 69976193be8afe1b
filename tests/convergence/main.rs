//! Whatever Stripe sends, in whatever order, ends in what Stripe says.
//!
//! `histories` plays random lives of customers in the sandbox and delivers their events to two nodes:
//! to one promptly and in order; to the other late, twice, shuffled and in another API version, with
//! losses that reconciliation repairs, and with restarts and crashes in between. In the end both hold
//! the same, and so does a third that received nothing and reconciled. What they hold is what Stripe's
//! own JSON says, read by a second implementation (`expected`), in every field. `killed` kills the
//! real program in the middle of a load of events, again and again.
//!
//! `TOLLGATE_CASES` sets the number of histories on each database (thousands at night), and
//! `TOLLGATE_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

#[path = "../support/mod.rs"]
mod support;

mod expected;
mod histories;
mod history;
mod killed;
mod node;
mod objects;
mod snapshot;
mod stripe;
