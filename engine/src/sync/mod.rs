//! Bringing the database up to date with Stripe.
//!
//! Nothing is derived from an event: the object is fetched from Stripe and written as a whole, in one
//! transaction with the events that caused it. Of two processes that fetch at the same time, the one
//! that fetched first may hold the older response; the version that was read before fetching decides,
//! and the loser fetches again. So events may arrive in any order and any number of times: the
//! database always converges on Stripe's state (`tests/convergence`).
//!
//! `fetch` reads from Stripe, `collect` pays what is owed with a new payment method, `owner` finds the
//! account, `reversals` finds disputed and refunded payments, `write` commits, `run` repeats this until it succeeds.

mod collect;
mod fetch;
mod outcome;
mod owner;
mod remembered;
mod reversals;
mod run;
mod sold;
mod trial;
mod write;

pub use outcome::{SyncContext, SyncError, SyncOutcome};
pub use owner::link;
pub use remembered::is_current;
pub use run::{all_of_customer, checkout_session, objects, subscription, unmatched_customer};
pub use trial::TERMS as TRIAL_TERMS;
