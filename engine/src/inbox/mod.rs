//! Events from Stripe: [`signature`] verifies them, [`intake`] stores them, [`events`] finds the object
//! that each is about.

pub mod events;
pub mod intake;
pub mod object;
pub mod pause;
pub mod signature;
