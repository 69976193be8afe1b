//! Identifying the visitor behind a request.

use std::future::Future;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::IntoResponse;
use billing::Entitlement;

use crate::accounts::Billable;

/// Identifies the visitor behind a request, by the host's sessions, tokens or headers.
pub trait Identify: Clone + Send + Sync + 'static {
    /// The response when identification fails, for example because the session store is down.
    type Error: IntoResponse;

    /// Returns the caller's account; `None` for an anonymous visitor. Implementations can put values for
    /// the host's own handlers into the extensions.
    fn identify(&self, parts: &mut Parts) -> impl Future<Output = Result<Option<Billable>, Self::Error>> + Send;
}

/// The visitor behind a request, with their entitlement. [`crate::axum::Gate`] puts it into the
/// extensions of every request; the entitlement is computed once.
#[derive(Clone, Debug, Default)]
pub struct Visitor(pub Option<(Billable, Arc<Entitlement>)>);
