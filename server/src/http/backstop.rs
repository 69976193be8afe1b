//! What a request does not come through: it takes too long, or something panics. Whoever asked is
//! told so: for a page by a page, for a call of the API by a problem ([`super::api`]).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;

use super::gatekeeper::refusal;
use crate::tollgate::Tollgate;

/// For pages: the page for what happened, instead of none.
pub(super) async fn hold(
    State((tollgate, refusals)): State<(Tollgate, Router)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut asked = Request::new(Body::empty());
    asked.method_mut().clone_from(&parts.method);
    asked.uri_mut().clone_from(&parts.uri);
    // The theme is in it; the rest is of no use to a page that says why there is none.
    if let Some(cookie) = parts.headers.get(header::COOKIE) {
        asked.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    match answered(tollgate.config().request_patience, next.run(Request::from_parts(parts, body))).await {
        Ok(response) => response,
        Err(Unanswered::Broken) => refusal(&refusals, asked, StatusCode::INTERNAL_SERVER_ERROR).await,
        Err(Unanswered::Late) => refusal(&refusals, asked, StatusCode::SERVICE_UNAVAILABLE).await,
    }
}

/// Why there is no answer. The log says more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unanswered {
    /// It took too long.
    Late,
    /// Something panicked.
    Broken,
}

/// The answer, if it comes in time.
pub(super) async fn answered(
    patience: Duration,
    answer: impl Future<Output = Response>,
) -> Result<Response, Unanswered> {
    match tokio::time::timeout(patience, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => {
            tracing::error!(panic = said(&*panic), "a request panicked");
            Err(Unanswered::Broken)
        }
        Err(_) => {
            tracing::error!("a request took too long");
            Err(Unanswered::Late)
        }
    }
}

/// What a panic says of itself.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use axum::{Extension, middleware};
    use tower::ServiceExt;

    use super::*;
    use crate::assets::Assets;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::store::Db;

    async fn asked(path: &str) -> (StatusCode, String) {
        let config = Config::from_lookup(&|name| (name == "DATABASE_URL").then(|| "sqlite::memory:".to_owned()));
        let mut config = config.unwrap();
        config.request_patience = Duration::from_millis(50);
        let db = Db::connect(&config.database_url).await.unwrap();
        let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap();
        let refusals = Router::new().fallback(async |Extension(status): Extension<StatusCode>, request: Request| {
            (status, format!("why {} is not there", request.uri())).into_response()
        });
        let router = Router::new()
            .route("/panics", get(async || -> &'static str { panic!("on purpose") }))
            .route("/hangs", get(async || -> &'static str { std::future::pending().await }))
            .route("/answers", get(async || "an answer"))
            .layer(middleware::from_fn_with_state((tollgate, refusals), hold));
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn whoever_asked_is_told_what_happened() {
        assert_eq!(asked("/answers").await, (StatusCode::OK, "an answer".to_owned()));
        let (status, page) = asked("/panics?x=1").await;
        assert_eq!((status.as_u16(), page.as_str()), (500, "why /panics?x=1 is not there"));
        let (status, page) = asked("/hangs").await;
        assert_eq!((status.as_u16(), page.as_str()), (503, "why /hangs is not there"));
    }
}
