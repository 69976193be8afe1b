//! `POST /dashboard/custom-domain`

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::workspace::{self, WorkspaceError};
use server::{Tollgate, access};

use super::form::Form;
use super::{Who, kept_out};
use crate::areas::CUSTOM_DOMAIN;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    domain: String,
}

pub async fn set(State(tollgate): State<Tollgate>, parts: Parts, Who(who): Who, Form(form): Form<Set>) -> Response {
    let permit = match access::require(&tollgate, &who, CUSTOM_DOMAIN.policy).await {
        Ok(permit) => permit,
        Err(error) => return kept_out(&tollgate, parts, &CUSTOM_DOMAIN, error).await,
    };
    match workspace::set_custom_domain(&tollgate, &permit, &form.domain).await {
        Ok(()) => Redirect::to(CUSTOM_DOMAIN.path).into_response(),
        Err(WorkspaceError::Invalid(sentence)) => {
            let state = FormState::default().typed("domain", form.domain).fault("domain", sentence);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            document::page_again(&tollgate, parts, CUSTOM_DOMAIN.path, status, state).await
        }
        Err(WorkspaceError::Store(cause)) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
