//! Stripe, as far as this program needs it: [`gateway`] asks, one file per resource says what,
//! [`shape`] reads the answers.

pub mod catalog;
pub mod checkout_sessions;
mod customers;
pub mod endpoints;
mod events;
pub mod gateway;
pub mod meters;
mod payments;
pub mod portal;
pub mod shape;
mod subscriptions;

pub use gateway::{Gateway, GatewayError};
pub use shape::ShapeError;

/// The most that Stripe puts on a page.
const PAGE: i64 = 100;
