//! `POST /dashboard/api-keys` and `/dashboard/api-keys/revoke`. Not server functions: a new key is
//! only on the page that responds to the form, so that no script can read it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::workspace::{WorkspaceError, api_keys};

use super::denied;
use super::form::Form;
use crate::areas::API_KEYS;
use crate::caller::Caller;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
pub struct Create {
    name: String,
}

/// Shows the new key in the response itself, because it is stored nowhere.
pub async fn create(State(tollgate): State<Tollgate>, parts: Parts, Form(form): Form<Create>) -> Response {
    let permit = match Caller::of(&tollgate, &parts, API_KEYS.policy) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &API_KEYS, denied).await,
    };
    let (status, state) = match api_keys::create_api_key(&tollgate, &permit, &form.name).await {
        Ok(key) => (StatusCode::OK, FormState::with_new_api_key(key)),
        Err(WorkspaceError::Invalid { field, message }) => {
            let state = FormState::default().typed("name", form.name).error(field, message);
            (StatusCode::UNPROCESSABLE_ENTITY, state)
        }
        Err(WorkspaceError::Store(cause)) => return document::failure(&tollgate, parts, Failure::store(cause)).await,
        Err(WorkspaceError::Random(cause)) => return document::failure(&tollgate, parts, Failure::bug(cause)).await,
    };
    document::page_again(&tollgate, parts, API_KEYS.path, status, state).await
}

#[derive(Deserialize)]
pub struct Revoke {
    id: String,
}

pub async fn revoke(State(tollgate): State<Tollgate>, parts: Parts, Form(form): Form<Revoke>) -> Response {
    let permit = match Caller::of(&tollgate, &parts, API_KEYS.policy) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &API_KEYS, denied).await,
    };
    let failure = match api_keys::revoke_api_key(&tollgate, &permit, &form.id).await {
        Ok(true) => return Redirect::to(API_KEYS.path).into_response(),
        Ok(false) => Failure::NotFound,
        Err(cause) => Failure::store(cause),
    };
    document::failure(&tollgate, parts, failure).await
}
