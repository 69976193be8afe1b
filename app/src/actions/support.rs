//! `POST /dashboard/support`. Not a server function: it isn't about billing, and no island calls
//! it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::workspace::WorkspaceError;
use server::workspace::support::send_support_message;

use super::denied;
use super::form::Form;
use crate::areas::SUPPORT;
use crate::caller::Caller;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
pub struct Message {
    subject: String,
    body: String,
}

pub async fn write(State(tollgate): State<Tollgate>, parts: Parts, Form(form): Form<Message>) -> Response {
    let permit = match Caller::of(&tollgate, &parts, SUPPORT.policy) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &SUPPORT, denied).await,
    };
    match send_support_message(&tollgate, &permit, &form.subject, &form.body).await {
        Ok(()) => Redirect::to("/dashboard/support?notice=sent").into_response(),
        Err(WorkspaceError::Invalid { field, message }) => {
            let state = FormState::default().typed("subject", form.subject).typed("body", form.body);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            document::page_again(&tollgate, parts, SUPPORT.path, status, state.error(field, message)).await
        }
        Err(WorkspaceError::Store(cause)) => document::failure(&tollgate, parts, Failure::store(cause)).await,
        Err(WorkspaceError::Random(cause)) => document::failure(&tollgate, parts, Failure::bug(cause)).await,
    }
}
