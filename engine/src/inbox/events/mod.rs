//! Finding the object that an event is about. An event is only a hint: nothing is taken from it but the
//! id of an object to fetch.
//!
//! One file per family of events, with its types and how to find their object.

mod checkout;
mod customer;
mod families;
mod hint;
mod invoice;
mod payment;
mod subscription;

pub use families::{handled, hint};
pub use hint::Hint;
