//! One log line per request, with its id.
//!
//! The line has method, path, status and duration. It has no query, headers or body, which may hold
//! addresses, cookies and keys.

use axum::http::Response;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{DefaultOnRequest, MakeSpan, OnResponse, TraceLayer};
use tracing::Span;

#[derive(Clone, Copy, Debug)]
pub(super) struct RequestSpan;

impl<B> MakeSpan<B> for RequestSpan {
    fn make_span(&mut self, request: &http::Request<B>) -> Span {
        let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
    }
}

/// The log line of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseLine;

impl<B> OnResponse<B> for ResponseLine {
    fn on_response(self, response: &Response<B>, latency: std::time::Duration, _: &Span) {
        let (status, ms) = (response.status().as_u16(), latency.as_secs_f64() * 1000.0);
        if status >= 500 {
            tracing::error!(status, ms, "request failed with {status}");
        } else {
            tracing::info!(status, ms, "request completed with {status}");
        }
    }
}

type Layer =
    TraceLayer<SharedClassifier<ServerErrorsAsFailures>, RequestSpan, DefaultOnRequest, ResponseLine, (), (), ()>;

pub(super) fn layer() -> Layer {
    TraceLayer::new_for_http()
        .make_span_with(RequestSpan)
        .on_response(ResponseLine)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}
