//! The part of Stripe's API that the engine uses: [`gateway`] sends requests, one file per resource
//! builds them, [`objects`] reads the responses.

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
