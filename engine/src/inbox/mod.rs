//! Events from Stripe: [`signature`] verifies them, [`intake`] stores them, [`events`] finds the object
//! that each is about.

pub mod circuit_breaker;
pub mod events;
pub mod intake;
pub mod object;
pub mod signature;
