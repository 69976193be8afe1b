//! What is said when a request cannot be answered: a closed set of sentences.
//!
//! The cause goes to the log, once, where it is turned into one of these; a page
//! never shows it.

use std::fmt::Debug;

use axum::http::StatusCode;
use server::checkout::CheckoutError;
use server::stripe::GatewayError;

/// Why there is no page, in words for the person who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No such page, or not theirs.
    NotFound,
    /// The request came from another site.
    Forbidden,
    /// The form is not one that this app has: a field is missing, unknown or given twice.
    Malformed,
    /// More was sent than any form of ours holds.
    TooLarge,
    /// Another request of the same account is being finished.
    InProgress,
    /// Stripe did not answer.
    StripeUnavailable,
    /// The store did not answer.
    Unavailable,
    /// A fault of ours.
    Broken,
}

impl Failure {
    /// The store did not answer; `cause` is logged here.
    pub fn store(cause: impl Debug) -> Self {
        tracing::error!(?cause, "the store did not answer");
        Self::Unavailable
    }

    /// Stripe did not answer, or refused what only we can have got wrong; `cause` is logged here.
    pub fn stripe(cause: &GatewayError) -> Self {
        tracing::error!(%cause, "Stripe gave no usable answer");
        if cause.is_final() { Self::Broken } else { Self::StripeUnavailable }
    }

    /// A purchase did not come to Stripe's page.
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

    /// What to say for a status that somebody else decided on.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::CONFLICT => Self::InProgress,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::Malformed,
            _ => Self::Broken,
        }
    }

    /// The response's status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InProgress => StatusCode::CONFLICT,
            Self::StripeUnavailable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The page's heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing here",
            Self::Forbidden => "That request came from elsewhere",
            Self::Malformed => "That form was not understood",
            Self::TooLarge => "That is more than this form takes",
            Self::InProgress => "One moment",
            Self::StripeUnavailable => "The payment service does not answer",
            Self::Unavailable => "Not available right now",
            Self::Broken => "Something broke on our side",
        }
    }

    /// What happened and what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotFound => {
                "The page does not exist, or it belongs to somebody else. Check the address, or start again from one of these."
            }
            Self::Forbidden => {
                "For your safety, forms are only taken from our own pages. Open the page again and send the form from there."
            }
            Self::Malformed => {
                "A field was missing or unknown, so nothing was changed. Go back, load the page again and send the form once more."
            }
            Self::TooLarge => "Nothing was changed. Shorten what you typed and send the form again.",
            Self::InProgress => {
                "Another request of yours is being finished right now. Wait a few seconds and try again; nothing is done twice."
            }
            Self::StripeUnavailable => {
                "Stripe could not be reached, so nothing was started and nothing was charged. Try again in a minute."
            }
            Self::Unavailable => "We could not reach our database, so nothing was changed. Try again in a minute.",
            Self::Broken => {
                "The fault is ours and has been written down. Try again; if it stays, write to us with the time it happened."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_decided_elsewhere_keeps_its_class() {
        for code in [400, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503] {
            let status = StatusCode::from_u16(code).unwrap();
            let said = Failure::of_status(status).status();
            assert_eq!(said.is_client_error(), status.is_client_error(), "{code} became {said}");
        }
    }
}
