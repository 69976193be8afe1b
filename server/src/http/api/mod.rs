//! The API for programs: `/api/v1`.
//!
//! A session cookie or `Authorization: Bearer tg_…`. Each call is counted before it is
//! answered; `Idempotency-Key` makes a repeated call count once. Every answer says what is
//! left ([`limits`]); what is refused is refused as `application/problem+json`
//! ([`problem`]). The description at `/api/v1/openapi.json` is made from the handlers
//! themselves, and the tests hold the API to it (`tests/http/api.rs`, `make test`).

mod caller;
mod entitlements;
mod generate;
mod limits;
mod openapi;
pub mod problem;
mod usage;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_login::AuthManagerLayer;
use billing::Policy;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use limits::Limiter;
pub use openapi::document;

use self::problem::Problem;
use super::{gatekeeper, origin};
use crate::auth::Backend;
use crate::auth::sessions::Sessions;
use crate::guard::Route;
use crate::tollgate::Tollgate;

/// The prefix and its policy; who may call is decided by [`caller::Caller`].
pub(super) const ROUTES: &[Route] = &[Route { path: PREFIX, policy: Policy::Public }];
const PREFIX: &str = "/api/v1";

fn is_api(canonical: &str) -> bool {
    canonical.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The handlers together with their description.
fn described() -> OpenApiRouter<Tollgate> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(usage::usage))
        .routes(routes!(entitlements::entitlements))
        .routes(routes!(generate::generate))
        .routes(routes!(openapi::openapi))
}

/// From the outside in: what is left, on every answer; origin check; session; call.
pub(super) fn routes(tollgate: &Tollgate, sessions: AuthManagerLayer<Backend, Sessions>) -> Router<Tollgate> {
    let (router, _) = described().split_for_parts();
    router
        .route("/api/v1", axum::routing::any(nothing_here))
        .route("/api/v1/{*rest}", axum::routing::any(nothing_here))
        .method_not_allowed_fallback(not_this_way)
        .layer(middleware::from_fn(gatekeeper::introduce))
        .layer(sessions)
        .layer(middleware::from_fn_with_state(tollgate.clone(), from_here))
        .layer(middleware::from_fn_with_state(tollgate.clone(), limits::announce))
}

/// No other site may use a signed-in browser's session.
async fn from_here(State(tollgate): State<Tollgate>, request: Request, next: Next) -> Response {
    if origin::is_from_here(&tollgate, &request) {
        return next.run(request).await;
    }
    let detail = "This came from another site. Send an API key, or call from the app itself.";
    IntoResponse::into_response(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "Another site", detail))
}

async fn nothing_here(State(tollgate): State<Tollgate>) -> Problem {
    let detail = format!("The API is described at {}api/v1/openapi.json.", tollgate.config().app_url);
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Nothing here", detail)
}

async fn not_this_way(request: Request) -> Response {
    let path = request.uri().path();
    if !is_api(path) {
        return IntoResponse::into_response(StatusCode::METHOD_NOT_ALLOWED);
    }
    let detail = format!("{path} does not take {}.", request.method());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
    IntoResponse::into_response(problem)
}
