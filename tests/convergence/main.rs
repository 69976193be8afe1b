//! Whatever Stripe sends, in any order, a node ends in Stripe's state.
//!
//! `histories` plays random customer histories in the sandbox and delivers their events to two nodes:
//! to one promptly and in order; to the other late, twice, shuffled and in a different API version, with
//! losses that reconciliation repairs, and with restarts and crashes in between. In the end both have
//! the same state, and so does a third that received nothing and reconciled. It agrees with Stripe's own
//! JSON, read by a second implementation (`expected`), in every field. `killed` repeatedly kills the real
//! program under a load of events.
//!
//! `TOLLGATE_CASES` sets the number of histories on each database (thousands at night), and
//! `TOLLGATE_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

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
