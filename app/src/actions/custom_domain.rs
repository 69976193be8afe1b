//! `POST /dashboard/custom-domain`. Not a server function: it isn't about billing, and no island
//! calls it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::workspace::WorkspaceError;
use server::workspace::custom_domain::set_custom_domain;

use super::denied;
use super::form::Form;
use crate::areas::CUSTOM_DOMAIN;
use crate::caller::Caller;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
pub struct Set {
    domain: String,
}

pub async fn set(State(tollgate): State<Tollgate>, parts: Parts, Form(form): Form<Set>) -> Response {
    let permit = match Caller::of(&tollgate, &parts, CUSTOM_DOMAIN.policy) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &CUSTOM_DOMAIN, denied).await,
    };
    match set_custom_domain(&tollgate, &permit, &form.domain).await {
        Ok(()) => Redirect::to(CUSTOM_DOMAIN.path).into_response(),
        Err(WorkspaceError::Invalid { field, message }) => {
            let state = FormState::default().typed("domain", form.domain).error(field, message);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            document::page_again(&tollgate, parts, CUSTOM_DOMAIN.path, status, state).await
        }
        Err(WorkspaceError::Store(cause)) => document::failure(&tollgate, parts, Failure::store(cause)).await,
        Err(WorkspaceError::Random(cause)) => document::failure(&tollgate, parts, Failure::bug(cause)).await,
    }
}
