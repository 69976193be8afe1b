//! `POST /dashboard/support`

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::workspace::{self, WorkspaceError};
use server::{Tollgate, access};

use super::form::Form;
use super::{Who, kept_out};
use crate::areas::{SUBJECT_MOST, SUPPORT};
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    subject: String,
    body: String,
}

pub async fn write(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Message>,
) -> Response {
    let permit = match access::require(&tollgate, &who, SUPPORT.policy).await {
        Ok(permit) => permit,
        Err(error) => return kept_out(&tollgate, parts, &SUPPORT, error).await,
    };
    match workspace::write_to_support(&tollgate, &permit, &form.subject, &form.body).await {
        Ok(()) => Redirect::to("/dashboard/support?notice=sent").into_response(),
        Err(WorkspaceError::Invalid(sentence)) => {
            let subject_length = form.subject.trim().chars().count();
            let field = if (1..=SUBJECT_MOST).contains(&subject_length) { "body" } else { "subject" };
            let state = FormState::default().typed("subject", form.subject).typed("body", form.body);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            document::page_again(&tollgate, parts, SUPPORT.path, status, state.fault(field, sentence)).await
        }
        Err(WorkspaceError::Store(cause)) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}
