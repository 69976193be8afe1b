//! Turns the errors of `engine` and `server` into a [`Failure`]. Each cause is logged here, once.

use std::fmt::Debug;

use engine::checkout::CheckoutError;
use engine::stripe::GatewayError;

use crate::failure::Failure;

impl Failure {
    /// Logs a database error.
    pub fn store(cause: impl Debug) -> Self {
        tracing::error!(?cause, "the database failed");
        Self::Unavailable
    }

    /// Logs an error that only a bug or a broken machine can cause.
    pub fn bug(cause: impl Debug) -> Self {
        tracing::error!(?cause, "a request failed unexpectedly");
        Self::Broken
    }

    /// Logs a Stripe error. A request that Stripe rejects is a bug on our side.
    pub fn stripe(cause: &GatewayError) -> Self {
        tracing::error!(%cause, "Stripe did not return a usable response");
        if cause.is_final() { Self::Broken } else { Self::StripeUnavailable }
    }

    /// Logs a checkout error, unless the customer can resolve it.
    pub fn checkout(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Stripe(cause) => Self::stripe(&cause),
            CheckoutError::Store(cause) => Self::store(cause),
            CheckoutError::OtherAccount(cause) => {
                tracing::error!(%cause, "nothing is sold with the API key of another Stripe account");
                Self::StripeUnavailable
            }
            error @ CheckoutError::CurrencyConflict { .. } => {
                tracing::error!(%error, "a purchase was rejected (docs/OPERATIONS.md, “Currencies”)");
                Self::OtherCurrency
            }
            CheckoutError::InProgress
            | CheckoutError::AlreadySubscribed
            | CheckoutError::SubscribedBefore(_)
            | CheckoutError::JustBought(_) => Self::InProgress,
            CheckoutError::Unknown | CheckoutError::NotForSale | CheckoutError::Closed => Self::NotFound,
        }
    }
}
