//! The failures that people and programs see: a closed set of codes, each with a status, a heading
//! and a message.
//!
//! The cause is logged where it becomes one of these ([`crate::causes`]) and never shown.

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The reason a request failed. Its code over HTTP is the variant's name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It doesn't exist, or it belongs to another account.
    NotFound,
    /// The visitor is not signed in.
    SignedOut,
    /// The account's plan doesn't include it.
    PlanTooLow,
    /// The request came from another site.
    Forbidden,
    /// A field is missing, unknown, repeated or not of its type.
    Malformed,
    /// The form is too long.
    TooLarge,
    /// A value is well-formed but not valid.
    Invalid,
    /// The password is wrong.
    WrongPassword,
    /// Too many wrong passwords, or actions that send requests to Stripe.
    TooManyAttempts,
    /// Another request of the same account is in progress.
    InProgress,
    /// Stripe doesn't charge the customer in this price's currency.
    OtherCurrency,
    /// Stripe can't be reached.
    StripeUnavailable,
    /// The database can't be reached, or the request timed out.
    Unavailable,
    /// A bug.
    Broken,
}

impl Failure {
    /// Returns the failure for a status that was decided elsewhere.
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

    /// Returns the response's status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::SignedOut | Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::PlanTooLow | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Malformed | Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::InProgress | Self::OtherCurrency => StatusCode::CONFLICT,
            Self::StripeUnavailable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the page's heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Page not found",
            Self::SignedOut => "Log in to continue",
            Self::PlanTooLow => "Your plan doesn't include this",
            Self::Forbidden => "Request blocked",
            Self::Malformed => "Invalid form",
            Self::TooLarge => "Form too long",
            Self::Invalid => "Check your input",
            Self::WrongPassword => "Wrong password",
            Self::TooManyAttempts => "Too many attempts",
            Self::InProgress => "One moment",
            Self::OtherCurrency => "This price is in another currency",
            Self::StripeUnavailable => "Payments are unavailable",
            Self::Unavailable => "Temporarily unavailable",
            Self::Broken => "Something went wrong",
        }
    }

    /// Returns a message that says what happened and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotFound => "This page doesn't exist, or you don't have access to it. Check the address.",
            Self::SignedOut => "You're not logged in, so nothing was changed. Log in and try again.",
            Self::PlanTooLow => "Upgrade to a plan that includes it.",
            Self::Forbidden => {
                "It came from another site, and for your security we only accept forms from our own pages. Open the page and send the form from there."
            }
            Self::Malformed => {
                "A field is missing or unknown, so nothing was changed. Go back, reload the page and send the form again."
            }
            Self::TooLarge => "Nothing was changed. Shorten your text and send the form again.",
            Self::Invalid => "A value isn't valid, so nothing was changed. Go back and correct it.",
            Self::WrongPassword => "That password is wrong, so nothing was changed.",
            Self::TooManyAttempts => {
                "That was too many attempts in a short time, so nothing was changed and you weren't charged. Wait a minute and try again."
            }
            Self::InProgress => {
                "Another of your requests is still being processed. Wait a few seconds and try again. You won't be charged twice."
            }
            Self::OtherCurrency => {
                "Your account is billed in a different currency from this price, so nothing was started and you weren't charged. Contact us, and we'll sort it out."
            }
            Self::StripeUnavailable => {
                "We couldn't reach Stripe, so nothing was started and you weren't charged. Try again in a minute."
            }
            Self::Unavailable => "We couldn't complete your request. Try again in a minute.",
            Self::Broken => "Something went wrong on our side.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_of_the_same_class_as_its_status() {
        for code in [400, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503] {
            let status = StatusCode::from_u16(code).unwrap();
            let shown = Failure::of_status(status).status();
            assert_eq!(shown.is_client_error(), status.is_client_error(), "{code} became {shown}");
        }
    }
}
