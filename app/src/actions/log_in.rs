//! `POST /login`. Not a server function: there is no caller to check yet, the response sets a
//! cookie, and no island calls it.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::{self, LoginError, Session, safe_next};

use super::form::Form;
use crate::attempts::too_many_attempts;
use crate::caller::peer;
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
    let error = match auth::login(&tollgate, &mut session, peer(&parts), &form.email, &form.password).await {
        Ok(_) => return Redirect::to(safe_next(form.next.as_deref())).into_response(),
        Err(error) => error,
    };
    let state = FormState::default().typed("email", form.email).typed("next", form.next.unwrap_or_default());
    match error {
        LoginError::Wrong => {
            let state = state.form_error("Wrong e-mail or password.");
            document::page_again(&tollgate, parts, "/login", StatusCode::UNAUTHORIZED, state).await
        }
        LoginError::TooMany { retry_after } => {
            let state = state.form_error(too_many_attempts(retry_after));
            let mut response =
                document::page_again(&tollgate, parts, "/login", StatusCode::TOO_MANY_REQUESTS, state).await;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            response
        }
        LoginError::Unavailable(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
