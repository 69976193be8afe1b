//! Whatever Stripe sends, in whatever order, ends in one truth.
//!
//! `histories` plays random lives of customers at the sandbox and tells two nodes of them: one
//! everything in order and at once, the other late, doubled, shuffled, in another API version, with
//! losses that are found by comparing, and with restarts and deaths in between. In the end both say
//! the same, and so does a third that was told nothing and asked Stripe. What they say is what Stripe's
//! own JSON says, read a second time (`expected`), in every field. `killed` kills the real program in
//! the middle of a load of events, again and again.
//!
//! `TOLLGATE_CASES` says how many histories each engine is told (thousands at night), and
//! `TOLLGATE_SEED` tells one again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

#[path = "../support/mod.rs"]
mod support;

mod expected;
mod histories;
mod history;
mod killed;
mod node;
mod snapshot;
mod stripe;
