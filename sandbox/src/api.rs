//! `/v1/…`: answers Stripe's API calls.
//!
//! The checks are made in Stripe's order: the API key, the route, the parameters, the idempotency
//! key. Invariant: the body of an answer is the one in its idempotency record.

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
use crate::state::{Faults, REQUEST, Shared, request_id};
use crate::store::{Origin, Tx};

/// The maximum size of a request body.
const MAX_BODY: usize = 1 << 20;

/// The body of a corrupted answer.
const CORRUPTED: &str = "<html><head><title>Bad Gateway</title></head><body>{\"object\": \"cust";

/// The answer to a call.
struct Answer {
    status: u16,
    body: Value,
    /// The request whose answer is replayed.
    replayed: Option<String>,
    /// The object in the path, and all objects written.
    touched: BTreeSet<String>,
    /// The injected fault.
    fault: Option<&'static str>,
}

impl Answer {
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

/// Answers an API call.
pub(crate) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
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
    let answer = match (authorize(&shared, &parts.headers), to_bytes(body, MAX_BODY).await) {
        (Err(error), _) => Answer::failed(&error),
        (Ok(()), Err(_)) => {
            let mut error = ApiError::invalid("", "Request body too large.");
            error.status = 413;
            Answer::failed(&error)
        }
        (Ok(()), Ok(body)) => {
            if !sent.form.is_empty() && !body.is_empty() {
                sent.form.push(b'&');
            }
            sent.form.extend(&body);
            carry_out(&shared, &sent).await
        }
    };
    let body = match answer.fault {
        Some("corrupted") => CORRUPTED.to_owned(),
        _ => serde_json::to_string_pretty(&answer.body).unwrap_or_default(),
    };
    shared.log(line(&shared, &sent, &answer, &body, started.elapsed()));
    respond(&sent, &answer, body)
}

/// Returns the log entry of a call.
fn line(shared: &Shared, sent: &RawCall, answer: &Answer, body: &str, took: Duration) -> Value {
    let parameters: Vec<(String, String)> = form_urlencoded::parse(&sent.form).into_owned().collect();
    json!({
        "id": sent.id,
        "object": REQUEST,
        "created": shared.lock().store.now_millis() / 1000,
        "method": sent.method,
        "path": sent.path,
        "parameters": parameters,
        "version": sent.version,
        "idempotency_key": sent.idempotency_key,
        "status": answer.status,
        "answer": body,
        "replayed": answer.replayed,
        "fault": answer.fault,
        "touched": answer.touched,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Checks the API key: `Authorization: Bearer sk_…`, or Basic with the key as the user name.
fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
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
    if shared.secret_keys.contains(&key) {
        return Ok(());
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

/// Carries out a call, with injected faults.
async fn carry_out(shared: &Shared, sent: &RawCall) -> Answer {
    let (fault, delay) = take_fault(shared, &sent.path);
    if let Some(Fault::Failed(status)) = fault {
        return Answer { fault: Some("failed"), ..Answer::failed(&ApiError::outage(status)) };
    }
    let parsed = parse(sent);
    let locks = match locks(shared, sent, parsed.as_ref().ok()) {
        Ok(locks) => locks,
        Err(error) => return Answer::failed(&error),
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.gates.pass(&sent.method, &sent.path).await;
    let mut answer =
        parsed.map_or_else(|error| Answer::failed(&error), |(route, call)| execute(shared, sent, route, &call));
    drop(locks);
    let stripped = shared.lock().faults.stripped.clone();
    if !stripped.is_empty() {
        strip(&mut answer.body, &stripped);
    }
    match fault {
        Some(Fault::Dropped) => Answer { fault: Some("dropped"), ..Answer::failed(&ApiError::outage(500)) },
        Some(Fault::Corrupted) => Answer { status: 200, fault: Some("corrupted"), ..answer },
        Some(Fault::Failed(_)) | None => answer,
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

/// Reduces an object to its id, wherever an answer contains it.
fn strip(answer: &mut Value, id: &str) {
    match answer {
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

/// Locks held by a call; released when the call ends or its client hangs up.
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

fn execute(shared: &Shared, sent: &RawCall, route: &Route, call: &Call) -> Answer {
    let key = sent.idempotency_key.clone().filter(|_| sent.method == "POST");
    let keyed = key.map(|key| IdempotencyKey::new(key, &sent.path, &call.params));
    let origin = || Origin {
        request: Some(sent.id.clone()),
        idempotency_key: sent.idempotency_key.clone(),
        base: String::new(),
    };
    let mut started = false;
    let mut answer = None;
    let outcome = shared.transaction(origin(), |tx| {
        if let Some(keyed) = &keyed
            && let Some(replay) = keyed.earlier(tx)?
        {
            answer = Some(Answer { replayed: Some(replay.request), ..Answer::new(replay.status, replay.body) });
            return Ok(());
        }
        started = true;
        let outcome = run(tx, route, call);
        let mut given = match &outcome {
            Ok(body) => Answer::new(200, body.clone()),
            Err(error) => error_answer(tx, error, &call.version),
        };
        given.touched = touched(tx, call);
        if let Some(keyed) = &keyed {
            keyed.store(tx, given.status, &given.body);
        }
        answer = Some(given);
        outcome.map(|_| ())
    });
    match outcome {
        Ok(()) => {}
        Err(error) if started && error.keeps_writes() => {}
        Err(error) if started => {
            let given = answer.get_or_insert_with(|| Answer::failed(&error));
            // The rollback removed the idempotency record, so store it in a transaction of its own.
            if let Some(keyed) = &keyed {
                shared.internal_transaction(|tx| {
                    tx.origin = origin();
                    keyed.store(tx, given.status, &given.body);
                    Ok(())
                });
            }
        }
        Err(error) => return Answer::failed(&error),
    }
    answer.unwrap_or_else(|| Answer::failed(&ApiError::internal("The call has no answer.")))
}

fn run(tx: &mut Tx<'_>, route: &Route, call: &Call) -> Result<Value, ApiError> {
    let mut value = (route.run)(tx, call)?;
    expand::expand(tx, &mut value, call.params.list("expand"), &call.version)?;
    Ok(api_version::render(&value, &call.version))
}

/// Returns the ids of the Stripe objects that a call is about.
fn touched(tx: &Tx<'_>, call: &Call) -> BTreeSet<String> {
    let ours = |id: &&str| !id.starts_with('_') && !id.starts_with("dlv_") && !id.starts_with("evt_");
    let mut touched: BTreeSet<String> = tx.touched().into_iter().filter(ours).map(str::to_owned).collect();
    touched.extend(Some(call.id.clone()).filter(|id| !id.is_empty()));
    touched
}

/// Returns an error response, with the current state of the intent that it is about.
fn error_answer(tx: &Tx<'_>, error: &ApiError, version: &str) -> Answer {
    let mut answer = Answer::failed(error);
    if let Some((key, id)) = error.intent()
        && let Some(intent) = tx.get(id)
    {
        answer.body["error"].set(key, api_version::render(intent, version));
    }
    answer
}

fn respond(sent: &RawCall, answer: &Answer, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", if answer.fault == Some("corrupted") { "text/html" } else { "application/json" });
    set("cache-control", "no-cache, no-store");
    set("request-id", &sent.id);
    set("stripe-version", &sent.version);
    if let Some(key) = &sent.idempotency_key {
        set("idempotency-key", key);
        set("original-request", answer.replayed.as_deref().unwrap_or(&sent.id));
    }
    if answer.replayed.is_some() {
        set("idempotent-replayed", "true");
    }
    if answer.status == 409 || answer.status == 429 {
        set("stripe-should-retry", "true");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::basic_user;

    #[test]
    fn basic_credentials_hold_the_key_as_user() {
        assert_eq!(basic_user("c2tfdGVzdF9zYW5kYm94Og==").as_deref(), Some("sk_test_sandbox"));
        assert_eq!(basic_user("!"), None);
    }
}
