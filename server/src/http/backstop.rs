//! Fallback responses to requests that time out, panic, or whose session cannot be read. A person gets an
//! error page, and a program a problem document ([`super::api`]).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;

use super::rejection::reject;

/// The time limit of a page, and the error pages that replace it.
#[derive(Clone, Debug)]
pub(super) struct Backstop {
    pub(super) timeout: Duration,
    pub(super) rejections: Router,
}

/// Replaces a page that times out or panics with an error page.
pub(super) async fn replace_failed_page(State(backstop): State<Backstop>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut copy = Request::new(Body::empty());
    copy.method_mut().clone_from(&parts.method);
    copy.uri_mut().clone_from(&parts.uri);
    // The theme, whether a person or a script reads the response, and the id that the page shows.
    for name in [header::COOKIE, header::ACCEPT, HeaderName::from_static("x-request-id")] {
        if let Some(value) = parts.headers.get(&name) {
            copy.headers_mut().insert(name, value.clone());
        }
    }
    match respond_in_time(backstop.timeout, next.run(Request::from_parts(parts, body))).await {
        Ok(response) => response,
        Err(NoResponse::Panicked) => reject(&backstop.rejections, copy, StatusCode::INTERNAL_SERVER_ERROR).await,
        Err(NoResponse::TimedOut | NoResponse::NoSession) => {
            reject(&backstop.rejections, copy, StatusCode::SERVICE_UNAVAILABLE).await
        }
    }
}

/// The reason there is no response. The log has the details.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoResponse {
    TimedOut,
    Panicked,
    /// The session could not be read or written.
    NoSession,
}

/// Waits for a response, which may take until `timeout`.
pub(super) async fn respond_in_time(
    timeout: Duration,
    response: impl Future<Output = Response>,
) -> Result<Response, NoResponse> {
    match tokio::time::timeout(timeout, AssertUnwindSafe(response).catch_unwind()).await {
        Ok(Ok(response)) if is_without_session(&response) => Err(NoResponse::NoSession),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => {
            tracing::error!(panic = message(&*panic), "a request panicked");
            Err(NoResponse::Panicked)
        }
        Err(_) => {
            tracing::error!("a request timed out");
            Err(NoResponse::TimedOut)
        }
    }
}

/// Returns whether axum-login or tower-sessions responded because the database failed: with a 500 without a
/// body. All our own responses have one.
fn is_without_session(response: &Response) -> bool {
    response.status() == StatusCode::INTERNAL_SERVER_ERROR && !response.headers().contains_key(header::CONTENT_TYPE)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use axum::{Extension, middleware};
    use tower::ServiceExt;

    use super::*;

    async fn get_page(path: &str, timeout: Duration) -> (StatusCode, String) {
        let rejections = Router::new().fallback(async |Extension(status): Extension<StatusCode>, request: Request| {
            (status, format!("no response for {}", request.uri())).into_response()
        });
        let backstop = Backstop { timeout, rejections };
        let router = Router::new()
            .route("/panics", get(async || -> &'static str { panic!("on purpose") }))
            .route("/hangs", get(async || -> &'static str { std::future::pending().await }))
            .route("/responds", get(async || "a response"))
            .route("/no-session", get(async || StatusCode::INTERNAL_SERVER_ERROR))
            .layer(middleware::from_fn_with_state(backstop, replace_failed_page));
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_that_panics_hangs_or_misses_its_session_gets_a_response() {
        let ample = Duration::from_secs(600);
        assert_eq!(get_page("/responds", ample).await, (StatusCode::OK, "a response".to_owned()));
        let (status, page) = get_page("/panics?x=1", ample).await;
        assert_eq!((status.as_u16(), page.as_str()), (500, "no response for /panics?x=1"));
        let (status, page) = get_page("/hangs", Duration::ZERO).await;
        assert_eq!((status.as_u16(), page.as_str()), (503, "no response for /hangs"));
        let (status, page) = get_page("/no-session", ample).await;
        assert_eq!((status.as_u16(), page.as_str()), (503, "no response for /no-session"));
    }
}
