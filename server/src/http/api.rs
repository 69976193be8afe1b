//! The API for programs: `/api/v1`.
//!
//! A session cookie or `Authorization: Bearer tg_…`. Each call is counted before it
//! is answered; `Idempotency-Key` makes a repeated call count once. What is refused
//! is refused as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use billing::{AccountId, Because, Limit, Meter, Policy, Tier};
use serde_json::{Value, json};

use crate::auth::Visitor;
use crate::guard::Route;
use crate::ids;
use crate::tollgate::Tollgate;
use crate::usage::{MeterReading, Recorded, UsageError};
use crate::workspace;

/// The prefix and its policy; who may call is decided by [`Caller`].
pub(super) const ROUTES: &[Route] = &[Route { path: PREFIX, policy: Policy::Public }];
const PREFIX: &str = "/api/v1";
/// Keys are for plans from this one up.
const KEYS_FROM: Policy = Policy::Tier("PRO");
/// The longest `Idempotency-Key`, as at Stripe.
const MAX_KEY: usize = 255;

pub(super) fn is_api(canonical: &str) -> bool {
    canonical.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn routes() -> Router<Tollgate> {
    Router::new().route("/api/v1/usage", get(usage)).route("/api/v1/entitlements", get(entitlements))
}

/// Who calls.
#[derive(Clone, Debug)]
struct Caller(AccountId);

impl FromRequestParts<Tollgate> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, tollgate: &Tollgate) -> Result<Self, Response> {
        let account = authenticate(parts, tollgate).await?;
        count(parts, tollgate, &account).await?;
        Ok(Self(account))
    }
}

async fn authenticate(parts: &Parts, tollgate: &Tollgate) -> Result<AccountId, Response> {
    if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
        let key = authorization.to_str().ok().and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let account = match key {
            Some(key) => workspace::account_of_api_key(tollgate, key).await.map_err(|error| unavailable(&error))?,
            None => None,
        };
        let account = account.ok_or_else(|| unauthorized("This API key is not known, or was revoked."))?;
        let entitlement = tollgate.entitlement(&account).await.map_err(|error| unavailable(&error))?;
        return match KEYS_FROM.admits(&entitlement, tollgate.catalog()) {
            billing::Admission::Admitted => Ok(account),
            billing::Admission::TooLow { needed } => Err(too_low(tollgate, &needed)),
            billing::Admission::NotForSale => Err(unauthorized("This API key opens nothing.")),
        };
    }
    let visitor = parts.extensions.get::<Visitor>().and_then(|visitor| visitor.signed_in.as_ref());
    visitor
        .map(|who| who.account_id.clone())
        .ok_or_else(|| unauthorized("Send a session cookie or `Authorization: Bearer tg_…`."))
}

async fn count(parts: &Parts, tollgate: &Tollgate, account: &AccountId) -> Result<(), Response> {
    let sound =
        |key: &HeaderValue| key.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len())).map(str::to_owned);
    let key = match parts.headers.get("idempotency-key").map(sound) {
        None => format!("call:{}", ids::new_id()),
        Some(Some(key)) => format!("client:{}:{key}", parts.uri.path()),
        Some(None) => {
            let detail = "Use 1 to 255 visible ASCII characters.";
            return Err(problem(StatusCode::BAD_REQUEST, "idempotency-key", "Bad Idempotency-Key", detail, json!({})));
        }
    };
    match tollgate.record_usage(account, Meter::ApiCalls, 1, &key).await {
        Ok(Recorded::Counted(_) | Recorded::Repeated(_)) => Ok(()),
        Ok(Recorded::Denied(reading)) => Err(limit_reached(tollgate, &reading)),
        Err(UsageError::Store(error)) => Err(unavailable(&error)),
        Err(error) => {
            let title = "Idempotency-Key used before";
            Err(problem(StatusCode::CONFLICT, "idempotency-key", title, &error.to_string(), json!({})))
        }
    }
}

async fn usage(State(tollgate): State<Tollgate>, Caller(account): Caller) -> Response {
    match tollgate.usage(&account).await {
        Ok(meters) => Json(json!({ "meters": meters.iter().map(meter_json).collect::<Vec<_>>() })).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn entitlements(State(tollgate): State<Tollgate>, Caller(account): Caller) -> Response {
    let entitlement = match tollgate.entitlement(&account).await {
        Ok(entitlement) => entitlement,
        Err(error) => return unavailable(&error),
    };
    let because = match &entitlement.because {
        Because::NoSubscription => Value::Null,
        Because::Subscription { id, status, rule } => json!({ "subscription": id, "status": status, "rule": rule }),
    };
    let limits: serde_json::Map<String, Value> =
        entitlement.limits.iter().map(|(meter, limit)| (meter.as_str().to_owned(), limit_json(*limit))).collect();
    Json(json!({
        "tier": entitlement.tier,
        "features": entitlement.features,
        "limits": limits,
        "until": entitlement.until,
        "because": because,
    }))
    .into_response()
}

fn meter_json(reading: &MeterReading) -> Value {
    json!({
        "meter": reading.meter,
        "used": reading.used,
        "limit": limit_json(reading.limit),
        "window_start": reading.window.start,
        "resets_at": reading.window.end,
    })
}

/// A number, or `null` where there is no limit.
fn limit_json(limit: Limit) -> Value {
    match limit {
        Limit::Finite(limit) => limit.into(),
        Limit::Unlimited => Value::Null,
    }
}

fn limit_reached(tollgate: &Tollgate, reading: &MeterReading) -> Response {
    problem(
        StatusCode::PAYMENT_REQUIRED,
        "limit-reached",
        "Limit reached",
        &format!(
            "{} of {} {} are used until {}.",
            reading.used,
            reading.limit,
            reading.meter.label(),
            reading.window.end
        ),
        json!({
            "meter": reading.meter,
            "used": reading.used,
            "limit": limit_json(reading.limit),
            "resets_at": reading.window.end,
            "upgrade_url": upgrade_url(tollgate),
        }),
    )
}

fn too_low(tollgate: &Tollgate, needed: &Tier) -> Response {
    let detail = format!("The {needed} plan or a higher one is needed.");
    let members = json!({ "needed": needed, "upgrade_url": upgrade_url(tollgate) });
    problem(StatusCode::FORBIDDEN, "plan-too-low", "Plan too low", &detail, members)
}

fn upgrade_url(tollgate: &Tollgate) -> String {
    format!("{}billing/upgrade", tollgate.config().app_url)
}

fn unauthorized(detail: &str) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?", detail, json!({}));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn unavailable(error: &crate::StoreError) -> Response {
    tracing::error!(%error, "an API call could not be answered");
    let detail = "Nothing was counted or changed. Try again in a moment.";
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available", detail, json!({}))
}

/// A problem document; `members` are its own.
fn problem(status: StatusCode, kind: &str, title: &str, detail: &str, members: Value) -> Response {
    let mut document = json!({
        "type": format!("urn:tollgate:problem:{kind}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    if let (Value::Object(document), Value::Object(members)) = (&mut document, members) {
        document.extend(members);
    }
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
