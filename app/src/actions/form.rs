//! A posted form, read strictly: what is missing, unknown, given twice or not a form
//! at all is refused before anything is looked up.

use axum::extract::{FromRequest, RawForm, Request};
use axum::http::StatusCode;
use axum::response::Response;
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
        let failure = match RawForm::from_request(request, tollgate).await {
            Ok(RawForm(body)) => match read(&body) {
                Some(fields) => return Ok(Self(fields)),
                None => Failure::Malformed,
            },
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge,
            Err(_) => Failure::Malformed,
        };
        Err(document::failure(tollgate, parts, failure).await)
    }
}

/// `None` for what is not exactly `T`'s fields. A NUL is in no text that anybody types, and
/// PostgreSQL stores none.
fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let has_nul = form_urlencoded::parse(body).any(|(name, value)| name.contains('\0') || value.contains('\0'));
    if has_nul { None } else { serde_urlencoded::from_bytes(body).ok() }
}
