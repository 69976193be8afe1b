//! Authenticating a caller, and counting the call.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use billing::{AccountId, Policy};
use engine::ids;
use engine::metering::{self, MeterReading, Recorded, UsageEvent, rate_limit};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::limits::{CallLimits, client};
use super::problem::Problem;
use crate::auth::Session;
use crate::product::API_CALLS;
use crate::tollgate::Tollgate;
use crate::workspace::api_keys;

/// API keys require this plan or a higher one.
const KEYS_FROM: Policy = Policy::Tier("PRO");
/// The advice to a caller without credentials.
const NO_CREDENTIALS: &str = "Send a session cookie or `Authorization: Bearer tg_…`.";
/// The maximum length of an `Idempotency-Key`, the same as Stripe's.
const MAX_KEY: usize = 255;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub account: AccountId,
    /// The API key's id; `None` for a session.
    pub source: Option<String>,
    /// The `Idempotency-Key` of this call.
    pub idempotency_key: Option<String>,
    path: String,
    limits: CallLimits,
}

/// Authenticates the caller and checks the burst limit before a handler runs.
pub(super) async fn authenticate(
    State(tollgate): State<Tollgate>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::read(&parts, &tollgate).await?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// The `Idempotency-Key` header, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the header is read by hand, so that an invalid one is a problem document")]
pub(super) struct IdempotencyKey {
    /// Counts the call once, however often it is sent.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::unauthorized(NO_CREDENTIALS))
    }
}

impl Caller {
    async fn read(parts: &Parts, tollgate: &Tollgate) -> Result<Self, Problem> {
        let limits = parts.extensions.get::<CallLimits>().cloned().unwrap_or_default();
        let (account, source) = credentials(parts, tollgate).await?;
        limits.admit(tollgate, &rate_limit::RateLimitKey::Account(account.clone()))?;
        let idempotency_key = idempotency_key(&parts.headers).map_err(|problem| *problem)?;
        Ok(Self { account, source, idempotency_key, path: parts.uri.path().to_owned(), limits })
    }

    /// Returns the call as a usage event, counted once per `Idempotency-Key`. The key belongs to this `body`.
    pub(super) fn call(&self, body: &[u8]) -> Call {
        let key = match &self.idempotency_key {
            None => format!("call:{}", ids::new_id()),
            Some(key) => format!("client:{}:{key}", self.path),
        };
        let fingerprint = match &self.idempotency_key {
            Some(_) if !body.is_empty() => fingerprint(body),
            _ => String::new(),
        };
        Call { key, fingerprint, is_new_key: self.idempotency_key.is_none(), source: self.source.clone() }
    }

    /// Counts the call.
    pub(super) async fn count(&self, tollgate: &Tollgate) -> Result<(), Problem> {
        let recorded = metering::record(tollgate, &self.account, self.call(b"").event()).await;
        self.counted(tollgate, recorded.map_err(|error| Problem::from_usage(&error))?).map_err(|problem| *problem)
    }

    /// Counts the call, and reads all meters.
    pub(super) async fn count_and_read(&self, tollgate: &Tollgate) -> Result<Vec<MeterReading>, Problem> {
        let call = self.call(b"");
        let (recorded, readings) = metering::record_and_read(tollgate, &self.account, call.event())
            .await
            .map_err(|error| Problem::from_usage(&error))?;
        self.counted(tollgate, recorded).map_err(|problem| *problem)?;
        Ok(readings)
    }

    fn counted(&self, tollgate: &Tollgate, recorded: Recorded) -> Result<(), Box<Problem>> {
        match recorded {
            Recorded::Counted(reading) | Recorded::Repeated(reading) => {
                self.note(reading);
                Ok(())
            }
            Recorded::Denied(reading) => Err(self.denied(tollgate, reading).into()),
        }
    }

    /// Returns the problem of a call whose meter has too little left.
    pub(super) fn denied(&self, tollgate: &Tollgate, reading: MeterReading) -> Problem {
        let problem = Problem::limit_reached(tollgate, &reading);
        self.note(reading);
        problem
    }

    /// Adds a meter to the headers of the response.
    pub(super) fn note(&self, reading: MeterReading) {
        self.limits.set_meter(reading);
    }
}

/// A call, as it is counted.
pub(super) struct Call {
    key: String,
    fingerprint: String,
    is_new_key: bool,
    source: Option<String>,
}

impl Call {
    pub(super) fn event(&self) -> UsageEvent<'_> {
        UsageEvent {
            is_new_key: self.is_new_key,
            fingerprint: &self.fingerprint,
            source: self.source.as_deref(),
            ..UsageEvent::new(API_CALLS, 1, &self.key)
        }
    }
}

async fn credentials(parts: &Parts, tollgate: &Tollgate) -> Result<(AccountId, Option<String>), Problem> {
    if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
        let key = authorization.to_str().ok().and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        // A key that may not exist is looked up only if its client has not tried too many. It is counted only if it
        // does not exist, by `limits::announce`.
        let admit = || tollgate.limiter().check(&client(&parts.extensions));
        let found = match key {
            Some(key) => api_keys::authenticate::<Problem, _>(tollgate, key, admit).await?,
            None => None,
        };
        let found = found.ok_or_else(|| Problem::unauthorized("This API key is invalid or was revoked."))?;
        let entitlement = tollgate.entitlement(&found.account).await.map_err(|error| Problem::unavailable(&error))?;
        return match KEYS_FROM.admits(&entitlement, tollgate.catalog()) {
            billing::Admission::Admitted => Ok((found.account, Some(found.key_id))),
            billing::Admission::UpgradeRequired { needed } => Err(Problem::plan_too_low(tollgate, needed)),
            billing::Admission::Forbidden => Err(Problem::unauthorized("This API key has no access.")),
        };
    }
    let identity = parts.extensions.get::<Session>().and_then(|session| session.user.as_ref());
    let account = identity.map(|identity| identity.signed_in.account_id.clone());
    account.map(|account| (account, None)).ok_or_else(|| Problem::unauthorized(NO_CREDENTIALS))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Box<Problem>> {
    let read = |key: &HeaderValue| {
        let is_valid =
            |key: &&str| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        key.to_str().ok().filter(is_valid).map(str::to_owned)
    };
    match headers.get("idempotency-key").map(read) {
        None => Ok(None),
        Some(Some(key)) => Ok(Some(key)),
        Some(None) => {
            let detail = format!("Use 1 to {MAX_KEY} visible ASCII characters, without spaces.");
            let status = StatusCode::BAD_REQUEST;
            Err(Problem::new(status, "idempotency-key", "Invalid Idempotency-Key", detail).into())
        }
    }
}

/// Identifies a request by its body.
pub(super) fn fingerprint(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
