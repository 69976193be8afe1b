//! A posted form, parsed as strictly as the arguments of a server function
//! ([`crate::api::strict_form`]).

use axum::extract::{FromRequest, RawForm, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use server::Tollgate;

use crate::api::strict_form::read;
use crate::document;
use crate::failure::Failure;

/// A form with exactly the fields of `T`.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Tollgate> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, tollgate: &Tollgate) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let failure = match RawForm::from_request(request, tollgate).await {
            Ok(RawForm(body)) => match read(&body) {
                Ok(fields) => return Ok(Self(fields)),
                Err(failure) => failure,
            },
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge,
            Err(_) => Failure::Malformed,
        };
        Err(document::failure(tollgate, parts, failure).await)
    }
}
