//! The HTTP side: one router out of the pages, the webhook, the API and the
//! operators' addresses, and the layers around them.
//!
//! From the outside in: request id, log line, security headers; panic to 500 and an
//! answer in time; then for everything a person reaches: origin check → session →
//! guard → route. Assets, health and the webhook need no session. The API for programs
//! answers for itself, late answers and panics included, and so has no guard.

pub mod api;
mod backstop;
mod gatekeeper;
mod headers;
pub mod health;
mod origin;
mod trace;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower::ServiceBuilder;
use tower::util::MapResponseLayer;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::auth::sessions;
use crate::guard::{PolicyTable, Route};
use crate::tollgate::Tollgate;
use crate::webhook;

/// The largest form or API body that is read.
const MAX_FORM: usize = 64 * 1024;

/// What the pages bring along.
#[derive(Debug)]
pub struct Pages {
    /// Pages and form actions.
    pub router: Router<Tollgate>,
    /// A policy for every one of them.
    pub routes: Vec<Route>,
    /// What answers a request that is refused before any page runs: the page for the
    /// `StatusCode` in the request's extensions, 404 without one.
    pub refusals: Router,
}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
#[error("routes:\n{}", .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct RouteFaults(pub Vec<String>);

/// Everything that is served.
///
/// # Errors
/// A route's policy is missing or cannot be met.
pub fn router(tollgate: &Tollgate, pages: Pages) -> Result<Router, RouteFaults> {
    let policies = PolicyTable::new(pages.routes, tollgate.catalog()).map_err(RouteFaults)?;
    let keeper = gatekeeper::Gatekeeper::new(tollgate.clone(), policies, pages.refusals.clone());

    let sessions = sessions::layer(tollgate);
    let api = api::routes(tollgate, sessions.clone());

    let guarded = pages.router.fallback_service(pages.refusals.clone()).layer(
        ServiceBuilder::new()
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
            // For a page of refusal that breaks itself.
            .layer(CatchPanicLayer::new())
            .layer(middleware::from_fn_with_state((tollgate.clone(), pages.refusals.clone()), backstop::hold))
            .layer(DefaultBodyLimit::max(MAX_FORM))
            .layer(middleware::from_fn_with_state((tollgate.clone(), pages.refusals), origin::check))
            .layer(sessions)
            .layer(middleware::from_fn_with_state(keeper, gatekeeper::admit)),
    );

    let others =
        Router::new()
            .route(
                "/api/stripe/webhook",
                post(webhook::route::receive).layer(DefaultBodyLimit::max(webhook::route::MAX_BODY)),
            )
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .merge(tollgate.assets().routes())
            .layer(ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                tollgate.config().request_patience,
            )))
            .fallback_service(guarded.with_state(tollgate.clone()));

    let request_id = HeaderName::from_static("x-request-id");
    Ok(others.merge(api).with_state(tollgate.clone()).layer(
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(request_id))
            .layer(trace::layer())
            .layer(MapResponseLayer::new(headers::add(tollgate.config().is_https()))),
    ))
}
