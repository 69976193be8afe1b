//! Identifies the visitor of a request for the engine's gate.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use engine::Billable;
use engine::axum::Identify;

use super::session::Session;
use super::visitor::Visitor;

/// Identifies visitors by their session.
#[derive(Clone, Copy, Debug)]
pub struct SessionIdentity;

impl Identify for SessionIdentity {
    type Error = (StatusCode, &'static str);

    async fn identify(&self, parts: &mut Parts) -> Result<Option<Billable>, Self::Error> {
        let session = Session::from_request_parts(parts, &()).await?;
        let signed_in = session.user.map(|identity| identity.signed_in);
        parts.extensions.insert(Visitor { signed_in: signed_in.clone() });
        Ok(signed_in.map(|who| Billable {
            account: who.account_id,
            email: who.email,
            name: None,
            is_operator: who.is_operator,
        }))
    }
}
