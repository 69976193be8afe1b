//! `POST /account/close`

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::{LoginError, Session};
use server::closing::{CloseError, close_account};

use super::form::Form;
use super::log_in::in_words;
use super::{Who, peer};
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    password: String,
}

pub async fn close(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    mut session: Session,
    Form(form): Form<Close>,
) -> Response {
    let error = match close_account(&tollgate, &mut session, &who, peer(&parts), &form.password).await {
        Ok(()) => return Redirect::to("/?notice=closed").into_response(),
        Err(error) => error,
    };
    let fault = |sentence: String| FormState::default().fault("password", sentence);
    let (status, state) = match error {
        CloseError::Login(LoginError::Wrong) => {
            (StatusCode::UNAUTHORIZED, fault("That is not your password. Nothing was closed.".to_owned()))
        }
        CloseError::Login(LoginError::TooMany { retry_after }) => {
            let sentence = format!("Too many attempts. Wait {} and try again.", in_words(retry_after));
            (StatusCode::TOO_MANY_REQUESTS, fault(sentence))
        }
        CloseError::Stripe(cause) => {
            tracing::error!(%cause, "an account could not be closed, because Stripe did not end its subscriptions");
            let sentence = "Stripe could not be told to end your subscription, so your account is still there and \
                            nothing was deleted. Try again in a minute.";
            (StatusCode::SERVICE_UNAVAILABLE, FormState::default().refused(sentence))
        }
        CloseError::InProgress => {
            let sentence = "Something is being bought for this account right now. Wait a minute and try again.";
            (StatusCode::CONFLICT, FormState::default().refused(sentence))
        }
        CloseError::Login(LoginError::Unavailable(cause)) => {
            return document::failure(&tollgate, parts, Failure::store(cause)).await;
        }
        CloseError::Store(cause) => return document::failure(&tollgate, parts, Failure::store(cause)).await,
    };
    document::page_again(&tollgate, parts, "/account", status, state).await
}
