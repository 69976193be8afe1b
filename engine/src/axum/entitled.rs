//! A handler's proof that its caller has the plan.

use std::marker::PhantomData;
use std::ops::Deref;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use billing::Policy;
use serde_json::json;

use super::addresses::{login_url, upgrade_url};
use super::identify::Visitor;
use super::policy::Route;
use super::request::{return_address, uri};
use crate::engine::Engine;
use crate::permit::{Permit, PermitDenied, permit};

/// A handler's requirement, as a type.
pub trait Requirement {
    /// The policy that a caller of the handler has to meet.
    const POLICY: Policy;
}

/// Requires a signed-in visitor, on any plan.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn;

impl Requirement for SignedIn {
    const POLICY: Policy = Policy::SignedIn;
}

/// An extractor for the [`Permit`] that `R` requires: a handler that takes it runs only for callers with the
/// plan. It needs a [`crate::axum::Gate`] around the route, which identifies the caller.
///
/// Without it, browsers are redirected to the sign-in or upgrade page; API clients get 401 or 403 with the URL
/// of that page.
#[derive(Clone, Debug)]
pub struct Entitled<R>(Permit, PhantomData<R>);

impl<R> Deref for Entitled<R> {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.0
    }
}

/// The reason a handler did not run.
#[derive(Clone, Debug)]
pub enum EntitledRejection {
    /// The visitor is not signed in.
    SignIn {
        /// The sign-in page.
        url: String,
        /// Whether a browser requested a page.
        is_page: bool,
    },
    /// A higher plan is needed.
    Upgrade {
        /// The upgrade page.
        url: String,
        /// Whether a browser requested a page.
        is_page: bool,
    },
    /// No plan includes it.
    Hidden,
    /// There is no gate around the route.
    NoGate,
}

impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for Entitled<R> {
    type Rejection = EntitledRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, EntitledRejection> {
        let engine = parts.extensions.get::<Engine>().ok_or(EntitledRejection::NoGate)?;
        let visitor = parts.extensions.get::<Visitor>().ok_or(EntitledRejection::NoGate)?;
        let accepts = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_page = accepts.is_some_and(|accept| accept.contains("text/html"));
        let next = return_address(parts, uri(parts).path(), engine.urls());
        let Some((billable, entitlement)) = &visitor.0 else {
            return Err(EntitledRejection::SignIn { url: login_url(engine.urls(), next.as_deref()), is_page });
        };
        let entitlement = (**entitlement).clone();
        match permit(engine.catalog(), billable, entitlement, R::POLICY) {
            Ok(permit) => Ok(Self(permit, PhantomData)),
            Err(PermitDenied::UpgradeRequired { .. }) => {
                let subject = Route { path: "/", policy: R::POLICY }.subject();
                Err(EntitledRejection::Upgrade { url: upgrade_url(engine.urls(), subject, next.as_deref()), is_page })
            }
            Err(PermitDenied::Forbidden) => Err(EntitledRejection::Hidden),
        }
    }
}

impl IntoResponse for EntitledRejection {
    fn into_response(self) -> Response {
        let problem = |status: StatusCode, error: &str, url: &str| {
            (status, Json(json!({ "error": error, "url": url }))).into_response()
        };
        match self {
            Self::SignIn { url, is_page: true } | Self::Upgrade { url, is_page: true } => {
                Redirect::to(&url).into_response()
            }
            Self::SignIn { url, .. } => problem(StatusCode::UNAUTHORIZED, "Sign in first", &url),
            Self::Upgrade { url, .. } => problem(StatusCode::FORBIDDEN, "Upgrade first", &url),
            Self::Hidden => StatusCode::NOT_FOUND.into_response(),
            Self::NoGate => {
                tracing::error!("a handler with `Entitled` has no gate around its route");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
