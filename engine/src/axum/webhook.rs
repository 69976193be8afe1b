//! The webhook route: verify, store, respond.
//!
//! It responds 400 to anything that Stripe did not sign, and stores nothing; 500 when an event could not
//! be stored, so that Stripe delivers it again; 200 only once the event is durable
//! (`tests/http/webhook.rs`).

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::inbox::intake::new_event;
use crate::inbox::signature;
use crate::store::StoreError;
use crate::store::inbox::EventState;
use crate::stripe::objects::{self, Event};

/// The largest body accepted. Stripe's events are far smaller.
const MAX_BODY: usize = 1024 * 1024;

/// Returns a router with one route, `POST` at the path of [`crate::Urls::webhook`].
pub fn webhook<S: Clone + Send + Sync + 'static>(engine: &Engine) -> Router<S> {
    let path = engine.urls().webhook.path();
    Router::new().route(path, post(receive)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(engine.clone())
}

#[tracing::instrument(skip_all, fields(event_id, event_type))]
async fn receive(State(engine): State<Engine>, headers: HeaderMap, body: Bytes) -> Response {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let secrets = &engine.stripe_settings().webhook_secrets;
    if let Err(error) = signature::verify(header, &body, secrets, engine.clock().wall()) {
        tracing::warn!(%error, "webhook rejected");
        return reject(StatusCode::BAD_REQUEST, "Invalid signature");
    }
    let (payload, event) = match read(&body) {
        Some(Delivery::Event(payload, event)) => (payload, event),
        Some(Delivery::Thin) => {
            tracing::info!("ignored a thin event");
            return received();
        }
        None => {
            tracing::warn!("a signed webhook is not an event");
            return reject(StatusCode::BAD_REQUEST, "Not an event");
        }
    };
    let span = tracing::Span::current();
    span.record("event_id", event.id.as_str()).record("event_type", event.kind.as_str());
    let id = event.id.clone();
    match store(&engine, payload, event).await {
        Ok(is_new) => {
            tracing::info!(is_new, "event {id} received");
            received()
        }
        Err(error) => {
            tracing::error!(%error, "event {id} could not be stored");
            reject(StatusCode::INTERNAL_SERVER_ERROR, "Not stored; deliver again")
        }
    }
}

/// A signed delivery.
enum Delivery<'a> {
    /// An event, and its bytes.
    Event(&'a str, Event),
    /// An event of API v2, which holds no object. None of them matters to billing, but an account may
    /// deliver them to the same endpoint, and Stripe would retry them if they were rejected
    /// (docs.stripe.com/event-destinations).
    Thin,
}

fn read(body: &[u8]) -> Option<Delivery<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    let value: Value = serde_json::from_str(text).ok()?;
    if value["object"] == "v2.core.event" {
        return Some(Delivery::Thin);
    }
    Some(Delivery::Event(text, objects::event(&value).ok()?))
}

fn received() -> Response {
    Json(json!({ "received": true })).into_response()
}

async fn store(engine: &Engine, payload: &str, event: Event) -> Result<bool, StoreError> {
    let event = new_event(event, payload.to_owned(), engine.now());
    let is_due = event.state == EventState::Pending;
    let is_new = engine.intake().store(event).await?;
    if is_new && is_due {
        engine.wake_worker().notify_one();
    }
    Ok(is_new)
}

fn reject(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
