//! Events from Stripe: [`signature`] proves them, [`route`] answers once
//! [`intake`] has written them down, [`worker`] applies them, [`hint`] says what to
//! look at.

pub mod hint;
pub mod intake;
pub mod route;
pub mod signature;
pub mod worker;
