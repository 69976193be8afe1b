//! `POST /login`. Not a server function: there is no caller to check yet, the response sets a
//! cookie, and no island calls it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use server::Tollgate;
use server::auth::{self, AuthUnavailable, LoginError, Session};

use super::form::Form;
use super::{later, signed_in};
use crate::caller::client;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
pub struct LogIn {
    email: String,
    password: String,
    next: Option<String>,
}

pub async fn log_in(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    mut session: Session,
    Form(form): Form<LogIn>,
) -> Response {
    let client = client(&tollgate, &parts);
    let error = match auth::login(&tollgate, &mut session, &client, &form.email, &form.password).await {
        Ok(device) => return signed_in::continue_to(&tollgate, parts, &device, form.next.as_deref()).await,
        Err(error) => error,
    };
    let state = FormState::default().typed("email", form.email).typed("next", form.next.unwrap_or_default());
    match error {
        LoginError::Wrong => {
            let state = state.form_error("Wrong e-mail or password.");
            document::page_again(&tollgate, parts, "/login", StatusCode::UNAUTHORIZED, state).await
        }
        LoginError::TooMany { retry_after } => later::too_many(&tollgate, parts, "/login", state, retry_after).await,
        LoginError::Unavailable(AuthUnavailable::Busy { retry_after }) => {
            later::unavailable(&tollgate, parts, "/login", state, retry_after).await
        }
        LoginError::Unavailable(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
