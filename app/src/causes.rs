//! From the errors of `engine` and `server` to a [`Failure`]. Each cause is logged here, once.

use std::fmt::Debug;

use engine::checkout::CheckoutError;
use engine::stripe::GatewayError;

use crate::failure::Failure;

impl Failure {
    /// The database didn't answer.
    pub fn store(cause: impl Debug) -> Self {
        tracing::error!(?cause, "the database did not answer");
        Self::Unavailable
    }

    /// Something happened that only a bug, or a broken machine, can cause.
    pub fn bug(cause: impl Debug) -> Self {
        tracing::error!(?cause, "a request failed unexpectedly");
        Self::Broken
    }

    /// Stripe didn't answer, or refused a request that only we can have got wrong.
    pub fn stripe(cause: &GatewayError) -> Self {
        tracing::error!(%cause, "Stripe gave no usable answer");
        if cause.is_final() { Self::Broken } else { Self::StripeUnavailable }
    }

    /// A request about billing didn't succeed.
    pub fn checkout(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Stripe(cause) => Self::stripe(&cause),
            CheckoutError::Store(cause) => Self::store(cause),
            CheckoutError::InProgress | CheckoutError::AlreadySubscribed | CheckoutError::JustBought(_) => {
                Self::InProgress
            }
            CheckoutError::Unknown | CheckoutError::NotForSale | CheckoutError::Closed => Self::NotFound,
        }
    }
}
