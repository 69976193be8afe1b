//! `POST /api/billing/checkout`: on to Stripe's page for something that is bought once. Price and
//! quantity are the server's business.

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
use crate::query::address;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buy {
    product: String,
}

pub async fn buy(State(tollgate): State<Tollgate>, parts: Parts, Who(who): Who, Form(form): Form<Buy>) -> Response {
    match checkout::start_purchase(&tollgate, &who, &form.product).await {
        Ok(url) => Redirect::to(&url).into_response(),
        // Another tab was faster: what was bought there is what was wanted here.
        Err(CheckoutError::JustBought(session)) => {
            Redirect::to(&address("/billing/success", &[("session_id", session.as_str())])).into_response()
        }
        Err(CheckoutError::Unknown) => {
            let state = FormState::default().refused("That is not for sale. Choose one of these.");
            document::page_again(&tollgate, parts, "/billing", StatusCode::UNPROCESSABLE_ENTITY, state).await
        }
        Err(error) => document::failure(&tollgate, parts, Failure::checkout(error)).await,
    }
}
