//! Who makes a request.

use std::future::Future;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::IntoResponse;
use billing::Entitlement;

use crate::accounts::Billable;

/// Identifies who makes a request, by the host's sessions, tokens or headers.
pub trait Identify: Clone + Send + Sync + 'static {
    /// The response if the visitor cannot be identified, for example because the session store is down.
    type Error: IntoResponse;

    /// Returns who makes the request; `None` for an anonymous visitor. What the host's own handlers
    /// need can be put into the extensions.
    fn identify(&self, parts: &mut Parts) -> impl Future<Output = Result<Option<Billable>, Self::Error>> + Send;
}

/// Who makes a request, and what they may do. [`crate::axum::Gate`] puts it into the extensions of every
/// request; the entitlement is computed once.
#[derive(Clone, Debug, Default)]
pub struct Visitor(pub Option<(Billable, Arc<Entitlement>)>);
