//! The API's routes, and the response to every other path below `/api/v1`.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use axum_login::AuthManagerLayer;
use serde_json::Value;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::{OpenApi, Server};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::limits::{self, CallLimits};
use super::problem::Problem;
use super::{caller, entitlements, generate, openapi, usage};
use crate::auth::Backend;
use crate::auth::session_store::Sessions;
use crate::http::backstop::{NoResponse, respond_in_time};
use crate::http::limits::{MAX_BODY, TIMEOUT};
use crate::http::origin;
use crate::tollgate::Tollgate;

/// Every path that belongs to the API.
const ADDRESSES: [&str; 3] = ["/api/v1", "/api/v1/", "/api/v1/{*rest}"];

/// Returns the handlers with their descriptions.
fn described(tollgate: &Tollgate) -> OpenApiRouter<Tollgate> {
    let calls = [routes!(usage::usage), routes!(entitlements::entitlements), routes!(generate::generate)];
    // In front of every handler, so that one without a `Caller` argument is not public.
    let authenticated = middleware::from_fn_with_state(tollgate.clone(), caller::authenticate);
    let for_anyone = middleware::from_fn_with_state(tollgate.clone(), limits::admit_client);
    calls
        .into_iter()
        .map(|call| call.map(|methods| methods.route_layer(authenticated.clone())))
        .fold(OpenApiRouter::with_openapi(openapi::info(tollgate.config().is_https())), OpenApiRouter::routes)
        .routes(routes!(openapi).layer(CompressionLayer::new()).layer(for_anyone))
}

/// The API's routes, and the response to every other path.
pub(in crate::http) fn routes(tollgate: &Tollgate, sessions: AuthManagerLayer<Backend, Sessions>) -> Router<Tollgate> {
    let api = Api::new(calls(tollgate), tollgate, sessions);
    ADDRESSES.into_iter().fold(Router::new(), |router, path| router.route(path, any(respond).with_state(api.clone())))
}

fn calls(tollgate: &Tollgate) -> Router<Tollgate> {
    let (router, _) = described(tollgate).split_for_parts();
    let router = router.method_not_allowed_fallback(method_not_allowed);
    ADDRESSES.into_iter().fold(router, |router, path| router.route(path, any(not_found)))
}

/// The API's routes, by how the caller authenticates.
#[derive(Clone)]
struct Api {
    tollgate: Tollgate,
    timeout: Duration,
    /// No session is read for a call with a key.
    by_key: Router,
    by_session: Router,
}

impl Api {
    fn new(calls: Router<Tollgate>, tollgate: &Tollgate, sessions: AuthManagerLayer<Backend, Sessions>) -> Self {
        let by_key = calls.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(tollgate.clone());
        let by_session = by_key.clone().layer(sessions);
        Self { tollgate: tollgate.clone(), timeout: TIMEOUT, by_session, by_key }
    }

    async fn call(&self, request: Request) -> Response {
        let has_key = request.headers().contains_key(header::AUTHORIZATION);
        let calls = if has_key { &self.by_key } else { &self.by_session };
        let Ok(response) = calls.clone().oneshot(request).await;
        response
    }
}

/// Responds to every call, even if it panics, times out or comes from another site.
async fn respond(State(api): State<Api>, mut request: Request) -> Response {
    let tollgate = &api.tollgate;
    let limits = CallLimits::default();
    request.extensions_mut().insert(limits.clone());
    let client = limits::client(request.extensions());
    let response = if origin::allows_call(tollgate, request.uri(), request.headers()) {
        match respond_in_time(api.timeout, api.call(request)).await {
            Ok(response) => response,
            Err(NoResponse::TimedOut) => Problem::timed_out().into_response(),
            Err(NoResponse::Panicked) => Problem::internal_error().into_response(),
            Err(NoResponse::NoSession) => Problem::no_session().into_response(),
        }
    } else {
        // Another site must not use a signed-in browser's session.
        let detail = "The request came from another site. Send an API key, or call from the app itself.";
        Problem::new(StatusCode::FORBIDDEN, "cross-site", "Request blocked", detail).into_response()
    };
    limits::announce(tollgate, &limits, &client, response)
}

async fn not_found(State(tollgate): State<Tollgate>) -> Problem {
    let detail = format!("The API is described at {}api/v1/openapi.json.", tollgate.config().app_url);
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} does not support {}.", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}

/// Returns the OpenAPI document, with the app's own address.
pub fn document(tollgate: &Tollgate) -> &Value {
    tollgate.api_document().get_or_init(|| serde_json::to_value(describe(tollgate)).unwrap_or_default())
}

fn describe(tollgate: &Tollgate) -> OpenApi {
    let mut document = described(tollgate).into_openapi();
    document.servers = Some(vec![Server::new(tollgate.config().app_url.as_str().trim_end_matches('/'))]);
    document
}

/// OpenAPI document
///
/// Public, and not counted.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
        (status = 429, description = "Too many calls", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn openapi(State(tollgate): State<Tollgate>) -> Response {
    Json(document(&tollgate)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;
    use crate::assets::Assets;
    use crate::auth::session_store;
    use crate::config::Config;
    use engine::Db;
    use engine::clock::Clock;

    async fn tollgate() -> Tollgate {
        let config = Config::from_lookup(&|name| (name == "DATABASE_URL").then(|| "sqlite::memory:".to_owned()));
        let config = config.unwrap();
        let db = Db::connect(&config.database_url).await.unwrap();
        Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap()
    }

    async fn call(handler: axum::routing::MethodRouter<Tollgate>, timeout: Duration) -> Response {
        let tollgate = tollgate().await;
        let mut api = Api::new(Router::new().route("/", handler), &tollgate, session_store::layer(&tollgate));
        api.timeout = timeout;
        respond(State(api), Request::new(Body::empty())).await
    }

    fn assert_has_limits(response: &Response) {
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/problem+json");
        assert!(header("ratelimit").starts_with("\"burst\";r="), "{}", header("ratelimit"));
    }

    #[tokio::test]
    async fn a_call_that_panics_gets_a_response_with_its_limits() {
        let response = call(get(async || -> &'static str { panic!("on purpose") }), TIMEOUT).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_has_limits(&response);
    }

    #[tokio::test]
    async fn a_call_that_times_out_gets_a_response_with_its_limits() {
        let response = call(get(async || -> &'static str { std::future::pending().await }), Duration::ZERO).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_has_limits(&response);
    }

    #[tokio::test]
    async fn every_route_is_described() {
        let tollgate = tollgate().await;
        let calls = format!("{:?}", calls(&tollgate));
        let mut served: Vec<&str> = calls.split('"').filter(|part| part.starts_with("/api")).collect();
        served.retain(|path| !ADDRESSES.contains(path));
        served.sort_unstable();
        served.dedup();
        let document = describe(&tollgate);
        assert_eq!(served, document.paths.paths.keys().map(String::as_str).collect::<Vec<_>>());
    }
}
