//! The response to a caller who may not use a form.

use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use engine::axum::login_url;
use server::Tollgate;

use crate::areas::Area;
use crate::caller::Denied;
use crate::document;
use crate::query::with_next;

/// Redirects to the login, or to the plan that includes `area`.
pub(super) async fn respond(tollgate: &Tollgate, parts: Parts, area: &Area, denied: Denied) -> Response {
    match denied {
        Denied::SignedOut => Redirect::to(&login_url(tollgate.urls(), area.path)).into_response(),
        Denied::TooLow { .. } => Redirect::to(&with_next("/billing/upgrade", area.path)).into_response(),
        Denied::Failed(failure) => document::failure(tollgate, parts, failure).await,
    }
}
