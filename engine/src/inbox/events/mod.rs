//! Which object an event is about. An event is only a hint: nothing is taken from it but the name of
//! an object to ask Stripe about.
//!
//! One file per family of events: its types, and what they are about.

mod checkout;
mod customer;
mod families;
mod hint;
mod invoice;
mod payment;
mod subscription;

pub use families::{handled, hint};
pub use hint::Hint;
