//! Who calls, whether they may, and that it counts.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use billing::{AccountId, Policy};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::limits::{Shared, Who};
use super::problem::Problem;
use crate::auth::Session;
use crate::ids;
use crate::product::API_CALLS;
use crate::tollgate::Tollgate;
use crate::usage::{MeterReading, Recorded, Use};
use crate::workspace;

/// Keys are for plans from this one up.
const KEYS_FROM: Policy = Policy::Tier("PRO");
/// What to do for somebody who said nothing of themselves.
const SEND_ONE: &str = "Send a session cookie or `Authorization: Bearer tg_…`.";
/// The longest `Idempotency-Key`, as at Stripe.
const MAX_KEY: usize = 255;

/// Who calls, and how fast they may.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub account: AccountId,
    /// The API key's id; none for a session.
    pub source: Option<String>,
    /// The client's own key for this call.
    pub idempotency_key: Option<String>,
    path: String,
    known: Shared,
}

/// Lets by who says who they are and is not too fast, and tells the handler who it is.
pub(super) async fn identify(
    State(tollgate): State<Tollgate>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::of(&parts, &tollgate).await?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// The header that makes a repeated call count once, for the description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the header is read by hand, so that a bad one is a problem document")]
pub(super) struct IdempotencyKey {
    /// Counts the call once, however often it is sent.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::unauthorized(SEND_ONE))
    }
}

impl Caller {
    async fn of(parts: &Parts, tollgate: &Tollgate) -> Result<Self, Problem> {
        let (account, source) = authenticate(parts, tollgate).await?;
        let known = parts.extensions.get::<Shared>().cloned().unwrap_or_default();
        match tollgate.limiter().pass(&Who::Account(account.clone())) {
            Ok(burst) => known.set_burst(burst),
            Err(too_fast) => {
                known.set_burst(Some(too_fast.burst));
                return Err(Problem::too_fast(too_fast.seconds));
            }
        }
        let idempotency_key = idempotency_key(&parts.headers).map_err(|problem| *problem)?;
        Ok(Self { account, source, idempotency_key, path: parts.uri.path().to_owned(), known })
    }

    /// Counts the call, once per `Idempotency-Key`. `body` is what the key must go with.
    pub(super) async fn count(&self, tollgate: &Tollgate, body: &[u8]) -> Result<(), Problem> {
        let key = match &self.idempotency_key {
            None => format!("call:{}", ids::new_id()),
            Some(key) => format!("client:{}:{key}", self.path),
        };
        let fingerprint = match &self.idempotency_key {
            Some(_) if !body.is_empty() => fingerprint(body),
            _ => String::new(),
        };
        let call = Use {
            is_new_key: self.idempotency_key.is_none(),
            fingerprint: &fingerprint,
            source: self.source.as_deref(),
            ..Use::new(API_CALLS, 1, &key)
        };
        match tollgate.record_use(&self.account, call).await {
            Ok(Recorded::Counted(reading) | Recorded::Repeated(reading)) => {
                self.learned(reading);
                Ok(())
            }
            Ok(Recorded::Denied(reading)) => {
                let problem = Problem::limit_reached(tollgate, &reading);
                self.learned(reading);
                Err(problem)
            }
            Err(error) => Err(Problem::of_usage(&error)),
        }
    }

    /// Has the answer say how a meter stands.
    pub(super) fn learned(&self, reading: MeterReading) {
        self.known.set_meter(reading);
    }
}

async fn authenticate(parts: &Parts, tollgate: &Tollgate) -> Result<(AccountId, Option<String>), Problem> {
    if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
        let key = authorization.to_str().ok().and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let found = match key {
            Some(key) => workspace::api_key_used(tollgate, key).await.map_err(|error| Problem::unavailable(&error))?,
            None => None,
        };
        let (account, id) = found.ok_or_else(|| Problem::unauthorized("This API key is not known, or was revoked."))?;
        let entitlement = tollgate.entitlement(&account).await.map_err(|error| Problem::unavailable(&error))?;
        return match KEYS_FROM.admits(&entitlement, tollgate.catalog()) {
            billing::Admission::Admitted => Ok((account, Some(id))),
            billing::Admission::UpgradeRequired { needed } => Err(Problem::too_low(tollgate, needed)),
            billing::Admission::Forbidden => Err(Problem::unauthorized("This API key opens nothing.")),
        };
    }
    let identity = parts.extensions.get::<Session>().and_then(|session| session.user.as_ref());
    let account = identity.map(|identity| identity.signed_in.account_id.clone());
    account.map(|account| (account, None)).ok_or_else(|| Problem::unauthorized(SEND_ONE))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Box<Problem>> {
    let sound = |key: &HeaderValue| {
        let is_sound =
            |key: &&str| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        key.to_str().ok().filter(is_sound).map(str::to_owned)
    };
    match headers.get("idempotency-key").map(sound) {
        None => Ok(None),
        Some(Some(key)) => Ok(Some(key)),
        Some(None) => {
            let detail = "Use 1 to 255 visible ASCII characters, without spaces.";
            let status = StatusCode::BAD_REQUEST;
            Err(Problem::new(status, "idempotency-key", "Bad Idempotency-Key", detail).into())
        }
    }
}

/// What a request is told apart by.
pub(super) fn fingerprint(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
