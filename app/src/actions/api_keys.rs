//! `POST /dashboard/api-keys` and `/dashboard/api-keys/revoke`

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::workspace::{self, WorkspaceError};
use server::{Tollgate, access};

use super::form::Form;
use super::{Who, kept_out};
use crate::areas::API_KEYS;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    name: String,
}

/// The new key is in the answer itself: nothing that could be read again holds it.
pub async fn create(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Create>,
) -> Response {
    let permit = match access::require(&tollgate, &who, API_KEYS.policy).await {
        Ok(permit) => permit,
        Err(error) => return kept_out(&tollgate, parts, &API_KEYS, error).await,
    };
    let (status, state) = match workspace::create_api_key(&tollgate, &permit, &form.name).await {
        Ok(key) => (StatusCode::OK, FormState::with_new_api_key(key)),
        Err(WorkspaceError::Invalid(sentence)) => {
            let state = FormState::default().typed("name", form.name).fault("name", sentence);
            (StatusCode::UNPROCESSABLE_ENTITY, state)
        }
        Err(WorkspaceError::Store(cause)) => return document::failure(&tollgate, parts, Failure::store(cause)).await,
    };
    document::page_again(&tollgate, parts, API_KEYS.path, status, state).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    id: String,
}

pub async fn revoke(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Revoke>,
) -> Response {
    let permit = match access::require(&tollgate, &who, API_KEYS.policy).await {
        Ok(permit) => permit,
        Err(error) => return kept_out(&tollgate, parts, &API_KEYS, error).await,
    };
    let failure = match workspace::revoke_api_key(&tollgate, &permit, &form.id).await {
        Ok(true) => return Redirect::to(API_KEYS.path).into_response(),
        Ok(false) => Failure::NotFound,
        Err(cause) => Failure::store(cause),
    };
    document::failure(&tollgate, parts, failure).await
}
