//! `POST /signup`. Not a server function, for the reasons given in [`super::log_in`].

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use server::Tollgate;
use server::auth::{self, AuthUnavailable, Session, SignUpError};

use super::form::Form;
use super::{later, signed_in};
use crate::caller::client;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
pub struct SignUp {
    email: String,
    password: String,
    next: Option<String>,
}

pub async fn sign_up(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    mut session: Session,
    Form(form): Form<SignUp>,
) -> Response {
    let client = client(&tollgate, &parts);
    let error = match auth::sign_up(&tollgate, &mut session, &client, &form.email, &form.password).await {
        Ok(device) => return signed_in::continue_to(&tollgate, parts, &device, form.next.as_deref()).await,
        Err(error) => error,
    };
    let state = FormState::default().typed("email", form.email).typed("next", form.next.unwrap_or_default());
    let state = match error {
        SignUpError::Email(error) => state.error("email", error.to_string()),
        SignUpError::Password(error) => state.error("password", error.to_string()),
        SignUpError::Taken => state.error("email", "This e-mail is already registered. Log in instead."),
        SignUpError::TooMany { retry_after } => {
            return later::too_many(&tollgate, parts, "/signup", state, retry_after).await;
        }
        SignUpError::Unavailable(AuthUnavailable::Busy { retry_after }) => {
            return later::unavailable(&tollgate, parts, "/signup", state, retry_after).await;
        }
        SignUpError::Unavailable(cause) => return document::failure(&tollgate, parts, Failure::store(cause)).await,
    };
    document::page_again(&tollgate, parts, "/signup", StatusCode::UNPROCESSABLE_ENTITY, state).await
}
