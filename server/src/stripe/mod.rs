//! Stripe, as far as this program needs it: [`gateway`] asks, [`listing`] and
//! [`endpoints`] ask for more, [`shape`] reads the answers.

pub mod endpoints;
pub mod gateway;
pub mod listing;
pub mod shape;

pub use gateway::{Gateway, GatewayError};
pub use shape::ShapeError;
