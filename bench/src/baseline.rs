//! The baseline: a minimal axum handler that sends the same bytes.

use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::response::Response as Recorded;
use crate::signature::sign;

/// Serves until the process is killed. Any GET request gets the recorded response; `POST /webhook`
/// checks the signature.
pub async fn serve(port: u16, response: Option<&Path>) -> anyhow::Result<()> {
    let response = match response {
        Some(path) => {
            let bytes = std::fs::read(path).context("cannot read the response")?;
            Recorded::parse(&bytes).context("not an HTTP response")?
        }
        None => Recorded::default(),
    };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/webhook", post(receive))
        .fallback(send)
        .with_state(response);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("cannot listen on the port")?;
    axum::serve(listener, router).await.context("the server failed")
}

async fn send(State(recorded): State<Recorded>) -> Response {
    let mut response = Response::new(Body::from(recorded.body));
    *response.headers_mut() = recorded.headers;
    response
}

async fn receive(headers: HeaderMap, body: Bytes) -> Response {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_signed(header, &body) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    ([("content-type", "application/json")], "{\"received\":true}").into_response()
}

/// Checks the `v1` signature of a header.
fn is_signed(header: &str, body: &[u8]) -> bool {
    let field = |prefix| header.split(',').find_map(|part| part.strip_prefix(prefix));
    let (Some(time), Some(signature)) = (field("t="), field("v1=")) else { return false };
    hex::decode(signature).is_ok_and(|signature| bool::from(sign(time, body).ct_eq(&signature)))
}
