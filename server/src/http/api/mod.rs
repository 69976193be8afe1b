//! The API for programs: `/api/v1`.
//!
//! A session cookie or `Authorization: Bearer tg_…`. Each call is counted before it is
//! answered; `Idempotency-Key` makes a repeated call count once. Every answer says what is
//! left ([`limits`]), also one that did not come in time or broke off in a panic; what is
//! refused is refused as `application/problem+json` ([`problem`]). No guard stands before it:
//! nothing but its own description runs before somebody has said who they are. The description
//! at `/api/v1/openapi.json` is made from the handlers themselves, no route is without one, and
//! the tests hold the API to it (`tests/http/api.rs`, `make test`).

mod caller;
mod entitlements;
mod generate;
mod limits;
mod openapi;
pub mod problem;
mod usage;

use std::any::Any;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum_login::AuthManagerLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

pub use limits::Limiter;
pub use openapi::document;

use self::problem::Problem;
use super::{MAX_FORM, backstop, gatekeeper, origin};
use crate::auth::Backend;
use crate::auth::sessions::Sessions;
use crate::tollgate::Tollgate;

/// The handlers together with their description.
fn described(tollgate: &Tollgate) -> OpenApiRouter<Tollgate> {
    let calls = [routes!(usage::usage), routes!(entitlements::entitlements), routes!(generate::generate)];
    // Before the handlers, so that one that takes no `Caller` is no open door.
    let identified = middleware::from_fn_with_state(tollgate.clone(), caller::identify);
    calls
        .into_iter()
        .map(|call| call.map(|methods| methods.route_layer(identified.clone())))
        .fold(OpenApiRouter::with_openapi(openapi::head()), OpenApiRouter::routes)
        .routes(routes!(openapi::openapi).layer(CompressionLayer::new()))
}

/// What is described, and what answers for all that is not.
pub(super) fn routes(tollgate: &Tollgate, sessions: AuthManagerLayer<Backend, Sessions>) -> Router<Tollgate> {
    let (router, _) = described(tollgate).split_for_parts();
    let router = router
        .route("/api/v1", any(nothing_here))
        .route("/api/v1/", any(nothing_here))
        .route("/api/v1/{*rest}", any(nothing_here))
        .method_not_allowed_fallback(not_this_way);
    layered(router, tollgate, sessions)
}

/// From the outside in: what is left, on every answer; panic to 500; an answer in time; origin check;
/// session; call.
fn layered(
    router: Router<Tollgate>,
    tollgate: &Tollgate,
    sessions: AuthManagerLayer<Backend, Sessions>,
) -> Router<Tollgate> {
    router
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn(gatekeeper::introduce))
        .layer(sessions)
        .layer(middleware::from_fn_with_state(tollgate.clone(), from_here))
        .layer(middleware::from_fn_with_state(tollgate.clone(), in_time))
        .layer(CatchPanicLayer::custom(broken))
        .layer(middleware::from_fn_with_state(tollgate.clone(), limits::announce))
}

/// No call takes longer than a request may.
async fn in_time(State(tollgate): State<Tollgate>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(tollgate.config().request_patience, next.run(request));
    answer.await.unwrap_or_else(|_| Problem::late().into_response())
}

#[expect(clippy::needless_pass_by_value, reason = "as the layer hands it over")]
fn broken(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = backstop::said(&*panic), "an API call panicked");
    Problem::broken().into_response()
}

/// No other site may use a signed-in browser's session.
async fn from_here(State(tollgate): State<Tollgate>, request: Request, next: Next) -> Response {
    if origin::is_from_here(&tollgate, &request) {
        return next.run(request).await;
    }
    let detail = "This came from another site. Send an API key, or call from the app itself.";
    Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "Another site", detail).into_response()
}

async fn nothing_here(State(tollgate): State<Tollgate>) -> Problem {
    let detail = format!("The API is described at {}api/v1/openapi.json.", tollgate.config().app_url);
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Nothing here", detail)
}

async fn not_this_way(request: Request) -> Problem {
    let detail = format!("{} does not take {}.", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::assets::Assets;
    use crate::auth::sessions;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::store::Db;

    async fn tollgate() -> Tollgate {
        let config = Config::from_lookup(&|name| (name == "DATABASE_URL").then(|| "sqlite::memory:".to_owned()));
        let config = config.unwrap();
        let db = Db::connect(&config.database_url).await.unwrap();
        Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap()
    }

    #[tokio::test]
    async fn a_call_that_panics_is_answered_as_any_other_and_says_what_is_left() {
        let tollgate = tollgate().await;
        let panics = Router::new().route("/", get(async || -> &'static str { panic!("on purpose") }));
        let router = layered(panics, &tollgate, sessions::layer(&tollgate)).with_state(tollgate);
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(header("content-type"), "application/problem+json");
        assert!(header("ratelimit").starts_with("\"burst\";r="), "{}", header("ratelimit"));
    }

    #[tokio::test]
    async fn no_route_is_without_a_description() {
        let tollgate = tollgate().await;
        let routes = format!("{:?}", routes(&tollgate, sessions::layer(&tollgate)));
        let mut served: Vec<&str> = routes.split('"').filter(|part| part.starts_with("/api")).collect();
        served.retain(|path| !["/api/v1", "/api/v1/", "/api/v1/{*rest}"].contains(path));
        served.sort_unstable();
        served.dedup();
        let document = document(&tollgate);
        assert_eq!(served, document.paths.paths.keys().map(String::as_str).collect::<Vec<_>>());
    }
}
