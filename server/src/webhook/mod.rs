//! Events from Stripe: [`signature`] proves them, [`route`] writes them down and
//! answers, [`worker`] applies them, [`hint`] says what to look at.

pub mod hint;
pub mod route;
pub mod signature;
pub mod worker;
