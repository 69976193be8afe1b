//! Deleting the account.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use {
    axum::http::request::Parts,
    engine::closing::CloseError,
    server::auth::{AuthUnavailable, LoginError},
    server::closing::{self, CloseAccountError},
};

use super::error::ApiError;
use super::password::Password;
use super::reply::SeeOther;
use super::strict_form::StrictForm;
#[cfg(feature = "ssr")]
use crate::attempts::{busy, too_many_attempts};
#[cfg(feature = "ssr")]
use crate::caller::{Caller, client, session};
#[cfg(feature = "ssr")]
use crate::failure::Failure;

/// Ends every subscription, deletes the account and logs out.
#[server(prefix = "/account", endpoint = "close", protocol = StrictForm)]
pub async fn close_account(
    /// The user's password, to confirm their identity.
    password: Password,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, who, .. } = Caller::calling_stripe()?;
    let client = client(&tollgate, &expect_context::<Parts>());
    let closed = closing::close_account(&tollgate, &mut session().await?, &who, &client, &password.0).await;
    closed.map(|()| SeeOther::to("/?notice=closed")).map_err(ssr::rejection)
}

#[cfg(feature = "ssr")]
mod ssr {
    use super::{
        ApiError, AuthUnavailable, CloseAccountError, CloseError, Failure, LoginError, busy, too_many_attempts,
    };

    pub fn rejection(error: CloseAccountError) -> ApiError {
        match error {
            CloseAccountError::Login(LoginError::Wrong) => {
                ApiError::at("password", Failure::WrongPassword, "Wrong password. Your account wasn't deleted.")
            }
            CloseAccountError::Login(LoginError::TooMany { retry_after }) => {
                ApiError::at("password", Failure::TooManyAttempts, too_many_attempts(retry_after))
                    .retry_after(retry_after)
            }
            CloseAccountError::Billing(CloseError::Stripe(cause)) => {
                tracing::error!(%cause, "an account was not closed, because Stripe did not end its subscriptions");
                ApiError::form_error(
                    Failure::StripeUnavailable,
                    "We couldn't end your subscription with Stripe, so your account wasn't deleted. Try again in a minute.",
                )
            }
            CloseAccountError::Billing(CloseError::InProgress) => ApiError::form_error(
                Failure::InProgress,
                "A purchase is in progress for this account. Wait a minute and try again.",
            ),
            CloseAccountError::Login(LoginError::Unavailable(AuthUnavailable::Busy { retry_after })) => {
                ApiError::form_error(Failure::Unavailable, busy(retry_after)).retry_after(retry_after)
            }
            CloseAccountError::Login(LoginError::Unavailable(cause)) => Failure::store(cause).into(),
            CloseAccountError::Billing(CloseError::Store(cause)) => Failure::store(cause).into(),
        }
    }
}
