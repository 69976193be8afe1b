//! The router for everything the app serves.
//!
//! From the outside in: client, request id, log line, security headers; a page for panics and timeouts; then,
//! for pages and server functions, origin check → session → gate → route. Assets, health checks and the
//! webhook need no session. The API authenticates its callers and handles panics and timeouts itself.

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Router, middleware};
use engine::axum::{FormPage, Gate, PolicyTable, PolicyTableError, Route, admit, webhook};
use tower::ServiceBuilder;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use super::limits::{MAX_BODY, TIMEOUT};
use super::{api, backstop, client, headers, health, host, origin, trace};
use crate::auth::{SessionIdentity, session_store};
use crate::tollgate::Tollgate;

/// The pages, with their policies and error pages.
#[derive(Debug)]
pub struct Pages {
    /// Pages and server functions.
    pub router: Router<Tollgate>,
    /// The policy of every page and server function.
    pub routes: Vec<Route>,
    /// Responds to a request that reaches no page: renders the page for the `StatusCode` in the request's
    /// extensions, or for 404 if there is none.
    pub rejections: Router,
    /// Finds the page with a form, for a visitor who has to log in before sending it.
    pub form_page: FormPage,
}

/// Builds the router for everything that is served. Fails if a route's policy cannot be met.
pub fn router(tollgate: &Tollgate, pages: Pages) -> Result<Router, PolicyTableError> {
    let policies = PolicyTable::new(pages.routes, tollgate.catalog())?;
    let gate = Gate::new(tollgate, SessionIdentity, policies)
        .reject_with(pages.rejections.clone())
        .with_form_pages(pages.form_page);
    let sessions = session_store::layer(tollgate);
    let api = api::routes(tollgate, sessions.clone());

    let backstop = backstop::Backstop { timeout: TIMEOUT, rejections: pages.rejections.clone() };
    let origin = (tollgate.clone(), pages.rejections.clone());
    let guarded = pages.router.fallback_service(pages.rejections).layer(
        ServiceBuilder::new()
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
            // In case an error page itself panics.
            .layer(CatchPanicLayer::new())
            .layer(middleware::from_fn_with_state(backstop, backstop::replace_failed_page))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn_with_state(tollgate.clone(), host::redirect))
            .layer(middleware::from_fn_with_state(origin, origin::check))
            .layer(sessions)
            .layer(middleware::from_fn_with_state(gate, admit::<SessionIdentity>)),
    );

    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT);
    let others = Router::new()
        .merge(webhook(tollgate))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(tollgate.assets().routes())
        .layer(ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(timeout))
        .fallback_service(guarded.with_state(tollgate.clone()));

    let request_id = HeaderName::from_static("x-request-id");
    Ok(others.merge(api).with_state(tollgate.clone()).layer(
        ServiceBuilder::new()
            .layer(MapRequestLayer::new(client::identify(&tollgate.config().trusted_proxies)))
            .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(request_id))
            .layer(trace::layer())
            .layer(MapResponseLayer::new(headers::add(tollgate.config().is_https()))),
    ))
}
