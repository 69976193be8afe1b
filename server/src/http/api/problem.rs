//! A refusal as a document (RFC 9457, `application/problem+json`).
//!
//! What a program can act on are `status`, `type` and the members that a kind has of its
//! own; `detail` is a sentence for people.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use billing::{Limit, Meter, Tier, Timestamp};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::store::StoreError;
use crate::tollgate::Tollgate;
use crate::usage::{MeterReading, UsageError};

/// What to do when a call may have been counted.
const NOT_TWICE: &str = "Ask again; with the same `Idempotency-Key`, nothing is counted twice.";

/// Why a request was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem, such as `urn:tollgate:problem:limit-reached`.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and what to do.
    detail: String,
    /// Which meter has come to its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    meter: Option<Meter>,
    /// How much of the limit is used or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    used: Option<u64>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    limit: Option<u64>,
    /// When the count begins anew, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, nullable = false)]
    resets_at: Option<Timestamp>,
    /// The plan that would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    needed: Option<Tier>,
    /// Where a higher plan is sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    upgrade_url: Option<String>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with nothing of its own.
    pub fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tollgate:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            meter: None,
            used: None,
            limit: None,
            resets_at: None,
            needed: None,
            upgrade_url: None,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 401.
    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?", detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 402.
    pub(super) fn limit_reached(tollgate: &Tollgate, reading: &MeterReading) -> Self {
        let used = reading.used.saturating_add(reading.reserved);
        let detail = format!(
            "{used} of {} {} are used until {}.",
            reading.limit,
            tollgate.catalog().meter_label(reading.meter),
            reading.window.end
        );
        let limit = match reading.limit {
            Limit::Finite(limit) => Some(limit),
            Limit::Unlimited => None,
        };
        Self {
            meter: Some(reading.meter),
            used: Some(used),
            limit,
            resets_at: Some(reading.window.end),
            upgrade_url: Some(upgrade_url(tollgate)),
            ..Self::new(StatusCode::PAYMENT_REQUIRED, "limit-reached", "Limit reached", detail)
        }
    }

    /// 403.
    pub(super) fn too_low(tollgate: &Tollgate, needed: Tier) -> Self {
        let detail = format!("The {needed} plan or a higher one is needed.");
        Self {
            needed: Some(needed),
            upgrade_url: Some(upgrade_url(tollgate)),
            ..Self::new(StatusCode::FORBIDDEN, "plan-too-low", "Plan too low", detail)
        }
    }

    /// 409: the key means another request.
    pub(super) fn key_reused() -> Self {
        let detail = "This key was used for another request. Use a new key for each request.";
        Self::new(StatusCode::CONFLICT, "idempotency-key", "Idempotency-Key used before", detail)
    }

    /// 409: the same request is being answered.
    pub(super) fn in_progress() -> Self {
        let detail = "The same request is being answered at this moment. Ask again with the same key.";
        Self::new(StatusCode::CONFLICT, "in-progress", "In progress", detail)
            .with(header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// 429.
    pub(super) fn too_fast(seconds: u64) -> Self {
        let detail = format!("Too many calls at once. Wait {seconds} s; nothing was counted.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-fast", "Too many calls", detail)
            .with(header::RETRY_AFTER, seconds)
    }

    /// 500.
    pub(super) fn broken() -> Self {
        let detail = format!("The fault is ours and has been written down. {NOT_TWICE}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "Something broke", detail)
    }

    /// 503: nobody knows how far it came.
    pub(super) fn late() -> Self {
        let detail = format!("There was no answer in time. {NOT_TWICE}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "late", "Not in time", detail)
    }

    /// 503.
    pub(super) fn unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "an API call could not be answered");
        let detail = "Nothing was counted or changed. Try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available", detail)
    }

    /// Why a use could not be counted.
    pub(super) fn of_usage(error: &UsageError) -> Self {
        match error {
            UsageError::KeyReused => Self::key_reused(),
            UsageError::Store(error) => Self::unavailable(error),
            // No call asks for a quantity: this one is ours.
            UsageError::Quantity => {
                tracing::error!("a call asked for a quantity that cannot be counted");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available", "Nothing was counted.")
            }
        }
    }

    /// As the last event of a stream.
    pub(super) fn as_json(&self) -> String {
        // Texts and numbers alone: there is nothing to fail on.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.as_json()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

/// How any call that is counted may be refused, for its description.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let refusals = [
            (StatusCode::BAD_REQUEST, "The `Idempotency-Key` is none"),
            (StatusCode::UNAUTHORIZED, "Nobody is known by what was sent"),
            (StatusCode::PAYMENT_REQUIRED, "A limit is reached"),
            (StatusCode::FORBIDDEN, "The plan has no API keys, or another site sent this"),
            (StatusCode::CONFLICT, "The `Idempotency-Key` was used for another request"),
            (StatusCode::TOO_MANY_REQUESTS, "Too many calls at once"),
            (StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours"),
            (StatusCode::SERVICE_UNAVAILABLE, "Not available, or not in time"),
        ];
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let described = |description| {
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content("application/problem+json", problem.clone()).build())
        };
        refusals.map(|(status, description)| (status.as_str().to_owned(), described(description))).into()
    }
}

fn upgrade_url(tollgate: &Tollgate) -> String {
    format!("{}billing/upgrade", tollgate.config().app_url)
}
