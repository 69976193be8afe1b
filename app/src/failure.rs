//! What can go wrong, as people and programs hear it: a closed set of codes, each with a
//! status, a heading and a sentence.
//!
//! The cause goes to the log, once, where it becomes one of these ([`crate::causes`]); no
//! page and no answer shows it.

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Why a request was not answered as asked. The variant in snake case is its code over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It doesn't exist, or it belongs to another account.
    NotFound,
    /// Nobody is signed in.
    SignedOut,
    /// The account's plan doesn't include it.
    PlanTooLow,
    /// The request came from another site.
    Forbidden,
    /// A field is missing, unknown, repeated or not of its type.
    Malformed,
    /// The form is longer than any of ours.
    TooLarge,
    /// A value is well-formed and can't be used.
    Invalid,
    /// The password is wrong.
    WrongPassword,
    /// Too many wrong passwords.
    TooManyAttempts,
    /// Another request of the same account is being finished.
    InProgress,
    /// Stripe didn't answer.
    StripeUnavailable,
    /// The database didn't answer.
    Unavailable,
    /// A bug.
    Broken,
}

impl Failure {
    /// Returns what to say for a status that was decided elsewhere.
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
            Self::SignedOut | Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::PlanTooLow | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Malformed | Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::InProgress => StatusCode::CONFLICT,
            Self::StripeUnavailable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The page's heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing here",
            Self::SignedOut => "Log in to continue",
            Self::PlanTooLow => "Your plan doesn't include this",
            Self::Forbidden => "That request came from elsewhere",
            Self::Malformed => "That form was not understood",
            Self::TooLarge => "That is more than this form takes",
            Self::Invalid => "Check what you entered",
            Self::WrongPassword => "Wrong password",
            Self::TooManyAttempts => "Too many attempts",
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
            Self::SignedOut => "You're not logged in, so nothing was changed. Log in and try again.",
            Self::PlanTooLow => "Upgrade to a plan that includes it.",
            Self::Forbidden => {
                "For your safety, forms are only taken from our own pages. Open the page again and send the form from there."
            }
            Self::Malformed => {
                "A field was missing or unknown, so nothing was changed. Go back, load the page again and send the form once more."
            }
            Self::TooLarge => "Nothing was changed. Shorten what you typed and send the form again.",
            Self::Invalid => "A value can't be used, so nothing was changed. Go back and correct it.",
            Self::WrongPassword => "That isn't your password, so nothing was changed.",
            Self::TooManyAttempts => "Wait a while and try again.",
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
