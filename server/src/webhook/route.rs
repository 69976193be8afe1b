//! `POST /api/stripe/webhook`: prove, write down, answer. Nothing else happens here.
//!
//! 400 for what Stripe did not sign, and nothing is written; 500 when it could not
//! be written down, so that Stripe delivers again; 200 only for what is durable.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::intake::Incoming;
use super::signature;
use crate::store::StoreError;
use crate::store::inbox::EventState;
use crate::stripe::shape::{self, Event};
use crate::tollgate::Tollgate;

/// The largest body that is read. Stripe's events are far smaller.
pub const MAX_BODY: usize = 1024 * 1024;

/// Takes one delivery.
#[tracing::instrument(skip_all, fields(event_id, event_type))]
pub async fn receive(State(tollgate): State<Tollgate>, headers: HeaderMap, body: Bytes) -> Response {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    if let Err(error) =
        signature::verify(header, &body, &tollgate.config().stripe.webhook_secrets, tollgate.clock().wall())
    {
        tracing::warn!(%error, "webhook refused");
        return refuse(StatusCode::BAD_REQUEST, "Invalid signature");
    }
    let Some((payload, event)) = read(&body) else {
        tracing::warn!("a signed webhook that is no event");
        return refuse(StatusCode::BAD_REQUEST, "Not an event");
    };
    let span = tracing::Span::current();
    span.record("event_id", event.id.as_str()).record("event_type", event.kind.as_str());
    let id = event.id.clone();
    match write_down(&tollgate, payload, event).await {
        Ok(new) => {
            tracing::info!(new, "event {id} received");
            Json(json!({ "received": true })).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "event {id} could not be written down");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "Not stored; deliver again")
        }
    }
}

fn read(body: &[u8]) -> Option<(&str, Event)> {
    let text = std::str::from_utf8(body).ok()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let event = shape::event(&value).ok()?;
    Some((text, event))
}

async fn write_down(tollgate: &Tollgate, payload: &str, event: Event) -> Result<bool, StoreError> {
    let incoming = Incoming::of(event, payload.to_owned());
    let is_due = incoming.state == EventState::Pending;
    let new = tollgate.intake().write(tollgate.db(), incoming, tollgate.now()).await?;
    if new && is_due {
        tollgate.inbox_filled().notify_one();
    }
    Ok(new)
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
