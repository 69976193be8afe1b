//! A posted form, read strictly: what is missing, unknown, given twice or not a form
//! at all is refused before anything is looked up.

use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use server::Tollgate;

use crate::document;
use crate::failure::Failure;

/// The fields of a form. `T` denies unknown fields.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Tollgate> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, tollgate: &Tollgate) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let failure = match axum::Form::<T>::from_request(request, tollgate).await {
            Ok(axum::Form(fields)) => return Ok(Self(fields)),
            Err(rejection) => reason(rejection),
        };
        Err(document::failure(tollgate, parts, failure).await)
    }
}

fn reason(rejection: FormRejection) -> Failure {
    let status = rejection.into_response().status();
    if status == StatusCode::PAYLOAD_TOO_LARGE { Failure::TooLarge } else { Failure::Malformed }
}
