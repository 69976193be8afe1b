//! The yardstick: the least that axum can do to send the same bytes.

use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::load::Answer;

/// What webhooks are signed with.
pub const SECRET: &str = "whsec_bench_secret";

/// Serves until the process is ended: `GET` anything is the given answer, `POST /webhook` checks
/// the signature and says that it has received.
pub async fn serve(port: u16, answer: Option<&Path>) -> anyhow::Result<()> {
    let answer = match answer {
        Some(path) => Answer::parse(&std::fs::read(path).context("the answer to send")?).context("an HTTP answer")?,
        None => Answer::default(),
    };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/webhook", post(receive))
        .fallback(send)
        .with_state(answer);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("the port is taken")?;
    axum::serve(listener, router).await.context("serving")
}

async fn send(State(answer): State<Answer>) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.headers_mut() = answer.headers;
    response
}

async fn receive(headers: HeaderMap, body: Bytes) -> Response {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_signed(header, &body) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    ([("content-type", "application/json")], "{\"received\":true}").into_response()
}

/// The one `v1` of a header against the one secret.
fn is_signed(header: &str, body: &[u8]) -> bool {
    let field = |name| header.split(',').find_map(|part| part.strip_prefix(name));
    let (Some(time), Some(signature)) = (field("t="), field("v1=")) else { return false };
    hex::decode(signature).is_ok_and(|signature| bool::from(sign(time, body).ct_eq(&signature)))
}

/// HMAC-SHA256 over `t.body`, as Stripe signs.
pub fn sign(time: &str, body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
