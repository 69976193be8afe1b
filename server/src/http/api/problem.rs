//! Errors as problem documents (RFC 9457, `application/problem+json`).
//!
//! Programs act on `status`, `type` and the members that a type adds; `detail` is for people.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use billing::{Limit, Meter, Overage, Tier, Timestamp};
use engine::StoreError;
use engine::metering::rate_limit::TooManyCalls;
use engine::metering::{MeterReading, UsageError};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::tollgate::Tollgate;

/// The advice when a call may have been counted.
const RETRY: &str = "Retry with the same `Idempotency-Key`, so that nothing is counted twice.";

/// The reason a call failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Identifies the type of problem, such as `urn:tollgate:problem:limit-reached`.
    #[serde(rename = "type")]
    kind: String,
    /// The title of the type.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and what to do about it.
    detail: String,
    /// The meter whose limit is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    meter: Option<Meter>,
    /// Units of the limit that are used or reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    used: Option<u64>,
    /// Units that the plan includes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    limit: Option<u64>,
    /// When the meter resets, in epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, nullable = false)]
    resets_at: Option<Timestamp>,
    /// The lowest tier that allows the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    needed: Option<Tier>,
    /// The page to upgrade on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    upgrade_url: Option<String>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Creates a problem without further members.
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
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 402.
    pub(super) fn limit_reached(tollgate: &Tollgate, reading: &MeterReading) -> Self {
        let used = reading.used.saturating_add(reading.reserved);
        let detail = format!(
            "{used} of {} {} are used. The meter resets at {}.",
            reading.limit,
            tollgate.catalog().meter_label(reading.meter),
            reading.window.end
        );
        let detail = match reading.overage_policy {
            Overage::Bill { max } => {
                format!("{detail} Beyond the limit, {} of at most {max} billed units are used.", reading.overage)
            }
            Overage::Deny => detail,
        };
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
    pub(super) fn plan_too_low(tollgate: &Tollgate, needed: Tier) -> Self {
        let plan = tollgate.catalog().plan(&needed).map_or_else(|| needed.to_string(), |plan| plan.name.clone());
        let detail = format!("This requires the {plan} plan or a higher one.");
        Self {
            needed: Some(needed),
            upgrade_url: Some(upgrade_url(tollgate)),
            ..Self::new(StatusCode::FORBIDDEN, "plan-too-low", "Plan too low", detail)
        }
    }

    /// 409: the key belongs to another request.
    pub(super) fn key_reused() -> Self {
        let detail = "This key was used for a different request. Use a new key for each request.";
        Self::new(StatusCode::CONFLICT, "idempotency-key", "Idempotency-Key already used", detail)
    }

    /// 409: the same request is in progress.
    pub(super) fn in_progress() -> Self {
        let detail = "The same request is still in progress. Retry with the same key.";
        Self::new(StatusCode::CONFLICT, "in-progress", "In progress", detail)
            .with(header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// 429.
    fn too_many_calls(seconds: u64) -> Self {
        let detail = format!("Too many calls. Wait {seconds} s; nothing was counted.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-calls", "Too many calls", detail)
            .with(header::RETRY_AFTER, seconds)
    }

    /// 500.
    pub(super) fn internal_error() -> Self {
        let detail = format!("Something went wrong on our side, and was logged. {RETRY}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal server error", detail)
    }

    /// 503: it is not known whether the call was counted.
    pub(super) fn timed_out() -> Self {
        let detail = format!("The call took too long. {RETRY}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "Timed out", detail)
    }

    /// 503: the database failed, and the call may have been counted.
    pub(super) fn unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "an API call failed");
        let detail = format!("The call could not be completed. {RETRY}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail)
    }

    /// 503: the session could not be read, so the call did not start. The cause is in the log.
    pub(super) fn no_session() -> Self {
        let detail = "Nothing was counted or changed. Retry in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail)
    }

    /// Returns the problem for usage that could not be counted.
    pub(super) fn from_usage(error: &UsageError) -> Self {
        match error {
            UsageError::KeyReused => Self::key_reused(),
            UsageError::Store(error) => Self::unavailable(error),
            // Quantities are ours, not the caller's.
            UsageError::Quantity => {
                tracing::error!("a call has a quantity that cannot be counted");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", "Nothing was counted.")
            }
        }
    }

    /// As the last event of a stream.
    pub(super) fn as_json(&self) -> String {
        // Only strings and numbers, so it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<TooManyCalls> for Problem {
    fn from(too_many: TooManyCalls) -> Self {
        Self::too_many_calls(too_many.retry_after)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error)
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

/// The errors of every counted call, for the OpenAPI document.
pub(super) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let errors = [
            (StatusCode::BAD_REQUEST, "Invalid `Idempotency-Key`"),
            (StatusCode::UNAUTHORIZED, "Missing or invalid credentials"),
            (StatusCode::PAYMENT_REQUIRED, "Limit reached"),
            (StatusCode::FORBIDDEN, "The plan does not include API keys, or the request came from another site"),
            (StatusCode::CONFLICT, "The `Idempotency-Key` was used for a different request"),
            (StatusCode::TOO_MANY_REQUESTS, "Too many calls"),
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
            (StatusCode::SERVICE_UNAVAILABLE, "Unavailable, or timed out"),
        ];
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let described = |description| {
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content("application/problem+json", problem.clone()).build())
        };
        errors.map(|(status, description)| (status.as_str().to_owned(), described(description))).into()
    }
}

fn upgrade_url(tollgate: &Tollgate) -> String {
    format!("{}billing/upgrade", tollgate.config().app_url)
}
