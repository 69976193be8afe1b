//! `POST /api/billing/subscribe`: on to Stripe's page for a plan and an interval.
//! Price, trial and quantity are the server's business.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use server::Tollgate;
use server::checkout::{self, CheckoutError};

use super::Who;
use super::form::Form;
use crate::document;
use crate::failure::Failure;
use crate::form_state::FormState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    plan: String,
    interval: String,
}

pub async fn subscribe(
    State(tollgate): State<Tollgate>,
    parts: Parts,
    Who(who): Who,
    Form(form): Form<Subscribe>,
) -> Response {
    match checkout::start_subscription(&tollgate, &who, &form.plan, &form.interval).await {
        Ok(url) => Redirect::to(&url).into_response(),
        Err(CheckoutError::AlreadySubscribed) => Redirect::to("/billing?notice=already_subscribed").into_response(),
        Err(CheckoutError::Unknown | CheckoutError::NotForSale) => {
            let state = FormState::default().refused("That plan is not for sale. Choose one of these.");
            document::page_again(&tollgate, parts, "/pricing", StatusCode::UNPROCESSABLE_ENTITY, state).await
        }
        Err(error) => document::failure(&tollgate, parts, Failure::checkout(error)).await,
    }
}
