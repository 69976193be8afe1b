//! `POST /api/billing/portal`: on to Stripe's customer portal, or straight to another card there.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::stripe::portal::PortalFlow;
use server::{Tollgate, portal};

use super::Who;
use super::form::Form;
use crate::document;
use crate::failure::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    flow: Option<String>,
}

pub async fn open(State(tollgate): State<Tollgate>, parts: Parts, Who(who): Who, Form(form): Form<Open>) -> Response {
    let flow = match form.flow.as_deref() {
        None | Some("") => PortalFlow::Home,
        Some("card") => PortalFlow::Card,
        Some(_) => return document::failure(&tollgate, parts, Failure::Malformed).await,
    };
    match portal::open(&tollgate, &who, flow).await {
        Ok(url) => Redirect::to(&url).into_response(),
        Err(error) => document::failure(&tollgate, parts, Failure::checkout(error)).await,
    }
}
