//! Stripe, as far as the engine needs it: [`gateway`] sends requests, one file per resource says
//! which, [`objects`] reads the answers.

pub mod checkout_sessions;
mod customers;
pub mod endpoints;
mod events;
mod gateway;
pub mod meters;
pub mod objects;
mod payments;
pub mod portal;
pub mod prices;
mod subscriptions;

pub use gateway::{Gateway, GatewayError, Listed, Unread, api_version};
pub use objects::ObjectError;
