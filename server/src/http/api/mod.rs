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

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum_login::AuthManagerLayer;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

pub use limits::Limiter;
pub use openapi::document;

use self::limits::Shared;
use self::problem::Problem;
use super::backstop::{self, Unanswered};
use super::{MAX_FORM, origin};
use crate::auth::Backend;
use crate::auth::sessions::Sessions;
use crate::tollgate::Tollgate;

/// Every address that the API answers for.
const ADDRESSES: [&str; 3] = ["/api/v1", "/api/v1/", "/api/v1/{*rest}"];

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
    let api = Api::new(calls(tollgate), tollgate, sessions);
    ADDRESSES.into_iter().fold(Router::new(), |router, path| router.route(path, any(answer).with_state(api.clone())))
}

fn calls(tollgate: &Tollgate) -> Router<Tollgate> {
    let (router, _) = described(tollgate).split_for_parts();
    let router = router.method_not_allowed_fallback(not_this_way);
    ADDRESSES.into_iter().fold(router, |router, path| router.route(path, any(nothing_here)))
}

/// The calls, by how they say who makes them.
#[derive(Clone)]
struct Api {
    tollgate: Tollgate,
    /// A key says so by itself: no session is looked for beside it.
    by_key: Router,
    by_session: Router,
}

impl Api {
    fn new(calls: Router<Tollgate>, tollgate: &Tollgate, sessions: AuthManagerLayer<Backend, Sessions>) -> Self {
        let by_key = calls.layer(DefaultBodyLimit::max(MAX_FORM)).with_state(tollgate.clone());
        Self { tollgate: tollgate.clone(), by_session: by_key.clone().layer(sessions), by_key }
    }

    async fn call(&self, request: Request) -> Response {
        let has_key = request.headers().contains_key(header::AUTHORIZATION);
        let calls = if has_key { &self.by_key } else { &self.by_session };
        let Ok(response) = calls.clone().oneshot(request).await;
        response
    }
}

/// Answers in any case: in time, also when a call breaks, not to another site, and with what is left.
async fn answer(State(api): State<Api>, mut request: Request) -> Response {
    let tollgate = &api.tollgate;
    let known = Shared::default();
    request.extensions_mut().insert(known.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let response = if origin::is_from_here(tollgate, &request) {
        match backstop::answered(tollgate.config().request_patience, api.call(request)).await {
            Ok(response) => response,
            Err(Unanswered::Late) => Problem::late().into_response(),
            Err(Unanswered::Broken) => Problem::broken().into_response(),
        }
    } else {
        // No other site may use a signed-in browser's session.
        let detail = "This came from another site. Send an API key, or call from the app itself.";
        Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "Another site", detail).into_response()
    };
    limits::announce(tollgate, &known, peer, response)
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
        let api = Api::new(panics, &tollgate, sessions::layer(&tollgate));
        let response = answer(State(api), Request::new(Body::empty())).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(header("content-type"), "application/problem+json");
        assert!(header("ratelimit").starts_with("\"burst\";r="), "{}", header("ratelimit"));
    }

    #[tokio::test]
    async fn no_route_is_without_a_description() {
        let tollgate = tollgate().await;
        let calls = format!("{:?}", calls(&tollgate));
        let mut served: Vec<&str> = calls.split('"').filter(|part| part.starts_with("/api")).collect();
        served.retain(|path| !ADDRESSES.contains(path));
        served.sort_unstable();
        served.dedup();
        let document = document(&tollgate);
        assert_eq!(served, document.paths.paths.keys().map(String::as_str).collect::<Vec<_>>());
    }
}
