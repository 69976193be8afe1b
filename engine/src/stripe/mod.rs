//! The part of Stripe's API that the engine uses: [`gateway`] sends requests, one file per resource
//! builds them, [`objects`] reads the responses.

mod account;
pub mod checkout_sessions;
mod collection;
mod customers;
pub mod endpoints;
mod events;
mod gateway;
mod gateway_error;
pub mod meters;
pub mod objects;
mod payments;
pub mod permissions;
pub mod portal;
pub mod prices;
mod rate;
mod retry;
mod subscriptions;

pub use gateway::{Gateway, Listed, UnreadableObject, api_version};
pub use gateway_error::GatewayError;
pub use objects::ObjectError;
pub(crate) use rate::in_background;
