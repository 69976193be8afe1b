//! `POST /login`

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::auth::{self, LoginError, Session, safe_next};

use super::form::Form;
use super::peer;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
            let state = state.refused("No account has this e-mail address and password. Check both and try again.");
            document::page_again(&tollgate, parts, "/login", StatusCode::UNAUTHORIZED, state).await
        }
        LoginError::TooMany { retry_after } => {
            let state = state.refused(format!("Too many attempts. Wait {} and try again.", in_words(retry_after)));
            let mut response =
                document::page_again(&tollgate, parts, "/login", StatusCode::TOO_MANY_REQUESTS, state).await;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            response
        }
        LoginError::Unavailable(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}

/// A pause as people say it, never shorter than it is.
pub(super) fn in_words(seconds: u64) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_pause_is_never_said_to_be_shorter_than_it_is() {
        assert_eq!(in_words(1), "a second");
        assert_eq!(in_words(59), "59 seconds");
        assert_eq!(in_words(61), "2 minutes");
    }
}
