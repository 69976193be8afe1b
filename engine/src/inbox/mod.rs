//! Events from Stripe: [`signature`] proves them, [`intake`] stores them, [`events`] says which object
//! each is about.

pub mod events;
pub mod intake;
pub mod object;
pub mod signature;
