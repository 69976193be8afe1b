//! `/v1/…`: handles Stripe's API calls.
//!
//! The checks run in Stripe's order: the API key, the route, the parameters, the idempotency key.
//! Invariant: the body of a response is the one in its idempotency record.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api_version;
use crate::error::ApiError;
use crate::expand;
use crate::fields::Fields;
use crate::form::{self, Node};
use crate::http::{self, Call, Route, meters};
use crate::idempotency::IdempotencyKey;
use crate::params;
use crate::permissions;
use crate::state::{Faults, REQUEST, Shared, request_id};
use crate::store::{Origin, Tx};

/// The maximum size of a request body.
const MAX_BODY: usize = 1 << 20;

/// The body of a corrupted response.
const CORRUPTED: &str = "<html><head><title>Bad Gateway</title></head><body>{\"object\": \"cust";

/// The response to a call.
struct ApiResponse {
    status: u16,
    body: Value,
    /// The request whose response is replayed.
    replayed: Option<String>,
    /// The object in the path, and all written objects.
    touched: BTreeSet<String>,
    /// The injected fault.
    fault: Option<&'static str>,
}

impl ApiResponse {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body, replayed: None, touched: BTreeSet::new(), fault: None }
    }

    fn failed(error: &ApiError) -> Self {
        Self::new(error.status, json!({ "error": error.fields() }))
    }
}

/// A request before it is parsed.
struct RawCall {
    id: String,
    method: String,
    path: String,
    form: Vec<u8>,
    version: String,
    idempotency_key: Option<String>,
}

impl RawCall {
    /// Returns the parameters as sent.
    fn parameters(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.form).into_owned().collect()
    }
}

/// Handles an API call.
pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let mut sent = RawCall {
        id: request_id(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        form: parts.uri.query().unwrap_or_default().as_bytes().to_vec(),
        version: text("stripe-version").unwrap_or_else(|| api_version::DEFAULT_VERSION.to_owned()),
        idempotency_key: text("idempotency-key").filter(|key| !key.is_empty()),
    };
    let started = Instant::now();
    let response = match (authorize(&shared, &parts.headers), to_bytes(body, MAX_BODY).await) {
        (Err(error), _) => ApiResponse::failed(&error),
        (Ok(_), Err(_)) => {
            let mut error = ApiError::invalid("", "Request body too large.");
            error.status = 413;
            ApiResponse::failed(&error)
        }
        (Ok(key), Ok(body)) => {
            if !sent.form.is_empty() && !body.is_empty() {
                sent.form.push(b'&');
            }
            sent.form.extend(&body);
            let allowed = permissions::check(&shared.lock().store, &key, &sent.method, &sent.path, &sent.parameters());
            match allowed {
                Ok(()) => execute_with_faults(&shared, &sent).await,
                Err(error) => ApiResponse::failed(&error),
            }
        }
    };
    let body = match response.fault {
        Some("corrupted") => CORRUPTED.to_owned(),
        _ => serde_json::to_string_pretty(&response.body).unwrap_or_default(),
    };
    shared.log(log_entry(&shared, &sent, &response, &body, started.elapsed()));
    let faults = shared.lock().faults.clone();
    respond(&sent, &response, &faults, body)
}

fn log_entry(shared: &Shared, sent: &RawCall, response: &ApiResponse, body: &str, took: Duration) -> Value {
    json!({
        "id": sent.id,
        "object": REQUEST,
        "created": shared.lock().store.now_millis() / 1000,
        "method": sent.method,
        "path": sent.path,
        "parameters": sent.parameters(),
        "version": sent.version,
        "idempotency_key": sent.idempotency_key,
        "status": response.status,
        "response": body,
        "replayed": response.replayed,
        "fault": response.fault,
        "touched": response.touched,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Checks the API key: `Authorization: Bearer sk_…`, or Basic with the key as the user name.
fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<String, ApiError> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = match sent.and_then(|sent| sent.split_once(' ')) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim().to_owned()),
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("basic") => basic_user(key.trim()),
        _ => None,
    };
    let Some(key) = key else {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
        return Err(ApiError::unauthorized(message));
    };
    if shared.secret_keys.contains(&key) || permissions::is_known(&shared.lock().store, &key) {
        return Ok(key);
    }
    let shown: String = key.chars().take(8).collect();
    Err(ApiError::unauthorized(format!("Invalid API Key provided: {shown}****")))
}

/// Returns the user name in Basic credentials, which are `user:password` in base64.
fn basic_user(encoded: &str) -> Option<String> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut bytes = Vec::new();
    for letter in encoded.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.split(':').next().unwrap_or_default().to_owned())
}

/// Executes a call, with injected faults.
async fn execute_with_faults(shared: &Shared, sent: &RawCall) -> ApiResponse {
    let (fault, delay) = take_fault(shared, &sent.path);
    let parsed = parse(sent);
    if let Some(Fault::Failed(status)) = fault {
        let failed = ApiResponse { fault: Some("failed"), ..ApiResponse::failed(&ApiError::outage(status)) };
        keep(shared, sent, parsed.as_ref().ok(), &failed);
        return failed;
    }
    let locks = match locks(shared, sent, parsed.as_ref().ok()) {
        Ok(locks) => locks,
        Err(error) => return ApiResponse::failed(&error),
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.gates.pass(&sent.method, &sent.path).await;
    let mut response = match &parsed {
        Ok((route, call)) => execute(shared, sent, route, call),
        Err(error) => ApiResponse::failed(error),
    };
    drop(locks);
    let stripped = shared.lock().faults.stripped.clone();
    if !stripped.is_empty() {
        strip(&mut response.body, &stripped);
    }
    match fault {
        Some(Fault::Dropped) => {
            let dropped = ApiResponse { fault: Some("dropped"), ..ApiResponse::failed(&ApiError::outage(500)) };
            keep(shared, sent, parsed.as_ref().ok(), &dropped);
            dropped
        }
        Some(Fault::Corrupted) => ApiResponse { status: 200, fault: Some("corrupted"), ..response },
        Some(Fault::Failed(_)) | None => response,
    }
}

/// Stores a failure under the call's idempotency key, if failures are kept. Stripe stores the outcome of
/// everything that it has begun to execute ("Idempotent requests", docs.stripe.com/api).
fn keep(shared: &Shared, sent: &RawCall, parsed: Option<&(&'static Route, Call)>, failed: &ApiResponse) {
    let key = sent.idempotency_key.clone().filter(|_| sent.method == "POST" && shared.lock().faults.kept);
    if let (Some(key), Some((_, call))) = (key, parsed) {
        let keyed = IdempotencyKey::new(key, &sent.path, &call.params);
        shared.internal_transaction(|tx| {
            tx.origin.request = Some(sent.id.clone());
            keyed.store(tx, failed.status, &failed.body);
            Ok(())
        });
    }
}

/// A fault injected into one call.
enum Fault {
    Failed(u16),
    Dropped,
    Corrupted,
}

fn take_fault(shared: &Shared, path: &str) -> (Option<Fault>, Duration) {
    let faults = &mut shared.lock().faults;
    if !path.starts_with(&faults.path) {
        return (None, faults.delay);
    }
    let fault = match faults {
        Faults { failing: (left @ 1.., status), .. } => {
            *left -= 1;
            Some(Fault::Failed(*status))
        }
        Faults { dropping: left @ 1.., .. } => {
            *left -= 1;
            Some(Fault::Dropped)
        }
        Faults { corrupting: left @ 1.., .. } => {
            *left -= 1;
            Some(Fault::Corrupted)
        }
        _ => None,
    };
    (fault, faults.delay)
}

/// Reduces an object to its id wherever a response contains it.
fn strip(response: &mut Value, id: &str) {
    match response {
        Value::Object(fields) if fields.get("id").is_some_and(|own| own == id) => {
            fields.retain(|name, _| matches!(name.as_str(), "id" | "object"));
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| strip(value, id)),
        Value::Array(values) => values.iter_mut().for_each(|value| strip(value, id)),
        _ => {}
    }
}

/// Takes the locks that a call needs: on its idempotency key, and on a customer's usage of a meter.
fn locks<'a>(
    shared: &'a Shared,
    sent: &RawCall,
    parsed: Option<&(&'static Route, Call)>,
) -> Result<Locks<'a>, ApiError> {
    let mut locks = Locks { shared, taken: Vec::new() };
    if let Some(key) = sent.idempotency_key.as_deref().filter(|_| sent.method == "POST") {
        IdempotencyKey::check(key)?;
        if !locks.take(format!("key:{key}")) {
            return Err(IdempotencyKey::in_use(key));
        }
    }
    let meter = parsed.filter(|(route, _)| route.endpoint == meters::REPORT).map(|(_, call)| meters::lock_name(call));
    if let Some(meter) = meter
        && !locks.take(meter)
    {
        return Err(meters::in_flight());
    }
    Ok(locks)
}

/// Locks held by a call; released when the call ends or its client disconnects.
struct Locks<'a> {
    shared: &'a Shared,
    taken: Vec<String>,
}

impl Locks<'_> {
    fn take(&mut self, name: String) -> bool {
        let free = self.shared.lock().locks.insert(name.clone());
        if free {
            self.taken.push(name);
        }
        free
    }
}

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        for name in &self.taken {
            inner.locks.remove(name);
        }
    }
}

fn parse(sent: &RawCall) -> Result<(&'static Route, Call), ApiError> {
    let (route, id) =
        http::find(&sent.method, &sent.path).ok_or_else(|| ApiError::unknown_route(&sent.method, &sent.path))?;
    let form: Node = form::parse(&sent.form)?;
    let call = Call {
        id,
        params: params::check(route.endpoint, &form)?,
        path: sent.path.clone(),
        version: sent.version.clone(),
    };
    Ok((route, call))
}

fn execute(shared: &Shared, sent: &RawCall, route: &Route, call: &Call) -> ApiResponse {
    let key = sent.idempotency_key.clone().filter(|_| sent.method == "POST");
    let keyed = key.map(|key| IdempotencyKey::new(key, &sent.path, &call.params));
    let origin = || Origin {
        request: Some(sent.id.clone()),
        idempotency_key: sent.idempotency_key.clone(),
        base: String::new(),
    };
    let mut started = false;
    let mut response = None;
    let outcome = shared.transaction(origin(), |tx| {
        if let Some(keyed) = &keyed
            && let Some(replay) = keyed.earlier(tx)?
        {
            response =
                Some(ApiResponse { replayed: Some(replay.request), ..ApiResponse::new(replay.status, replay.body) });
            return Ok(());
        }
        started = true;
        let outcome = run(tx, route, call);
        let mut given = match &outcome {
            Ok(body) => ApiResponse::new(200, body.clone()),
            Err(error) => error_response(tx, error, &call.version),
        };
        given.touched = touched(tx, call);
        if let Some(keyed) = &keyed {
            keyed.store(tx, given.status, &given.body);
        }
        response = Some(given);
        outcome.map(|_| ())
    });
    match outcome {
        Ok(()) => {}
        Err(error) if started && error.keeps_writes() => {}
        Err(error) if started => {
            let given = response.get_or_insert_with(|| ApiResponse::failed(&error));
            // The rollback removed the idempotency record, so store it in a separate transaction.
            if let Some(keyed) = &keyed {
                shared.internal_transaction(|tx| {
                    tx.origin = origin();
                    keyed.store(tx, given.status, &given.body);
                    Ok(())
                });
            }
        }
        Err(error) => return ApiResponse::failed(&error),
    }
    response.unwrap_or_else(|| ApiResponse::failed(&ApiError::internal("The call has no response.")))
}

fn run(tx: &mut Tx<'_>, route: &Route, call: &Call) -> Result<Value, ApiError> {
    let mut value = (route.run)(tx, call)?;
    expand::expand(tx, &mut value, call.params.list("expand"), &call.version)?;
    Ok(api_version::render(&value, &call.version))
}

/// Returns the ids of the Stripe objects that a call reads by path or writes.
fn touched(tx: &Tx<'_>, call: &Call) -> BTreeSet<String> {
    let ours = |id: &&str| !id.starts_with('_') && !id.starts_with("dlv_") && !id.starts_with("evt_");
    let mut touched: BTreeSet<String> = tx.touched().into_iter().filter(ours).map(str::to_owned).collect();
    touched.extend(Some(call.id.clone()).filter(|id| !id.is_empty()));
    touched
}

/// Returns an error response, with the current state of its intent.
fn error_response(tx: &Tx<'_>, error: &ApiError, version: &str) -> ApiResponse {
    let mut response = ApiResponse::failed(error);
    if let Some((key, id)) = error.intent()
        && let Some(intent) = tx.get(id)
    {
        response.body["error"].set(key, api_version::render(intent, version));
    }
    response
}

fn respond(sent: &RawCall, response: &ApiResponse, faults: &Faults, body: String) -> Response {
    let mut http = Response::new(Body::from(body));
    *http.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            http.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", if response.fault == Some("corrupted") { "text/html" } else { "application/json" });
    set("cache-control", "no-cache, no-store");
    set("request-id", &sent.id);
    set("stripe-version", &sent.version);
    if let Some(key) = &sent.idempotency_key {
        set("idempotency-key", key);
        set("original-request", response.replayed.as_deref().unwrap_or(&sent.id));
    }
    if response.replayed.is_some() {
        set("idempotent-replayed", "true");
    }
    let is_failed = response.fault == Some("failed");
    if is_failed && !faults.should_retry.is_empty() {
        set("stripe-should-retry", &faults.should_retry);
    } else if response.status == 409 || response.status == 429 {
        set("stripe-should-retry", "true");
    }
    if is_failed && faults.retry_after > 0 {
        set("retry-after", &faults.retry_after.to_string());
    }
    http
}

#[cfg(test)]
mod tests {
    use super::basic_user;

    #[test]
    fn basic_credentials_contain_the_key_as_user() {
        assert_eq!(basic_user("c2tfdGVzdF9zYW5kYm94Og==").as_deref(), Some("sk_test_sandbox"));
        assert_eq!(basic_user("!"), None);
    }
}
