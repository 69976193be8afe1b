//! Events from Stripe: [`signature`] proves them, [`route`] answers once
//! [`intake`] has written them down, [`worker`] applies them, [`events`] says what to
//! look at, [`register`] makes Stripe send them.

pub mod events;
pub mod intake;
pub mod register;
pub mod route;
pub mod signature;
pub mod worker;
