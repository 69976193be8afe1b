//! Stripe, as far as this program needs it: [`gateway`] asks, [`shape`] reads the answers.

pub mod gateway;
pub mod shape;

pub use gateway::{Gateway, GatewayError};
pub use shape::ShapeError;
