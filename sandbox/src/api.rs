//! `/v1/…`: from an HTTP request to Stripe's answer.
//!
//! The order is Stripe's: the key, the route, the parameters, the idempotency key, and only
//! then the work. Invariant: the answer's body and its idempotency record are one.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::ApiError;
use crate::expand;
use crate::fields::Fields;
use crate::form::{self, Node};
use crate::http::{self, Call, Route, meters};
use crate::idempotency::Keyed;
use crate::params;
use crate::shape;
use crate::state::{Faults, REQUEST, Shared, request_id};
use crate::store::{Origin, Tx};

/// More than any honest request.
const LARGEST_BODY: usize = 1 << 20;

/// What is sent instead of JSON when answers are garbled.
const GARBAGE: &str = "<html><head><title>Bad Gateway</title></head><body>{\"object\": \"cust";

/// What is sent back.
struct Answer {
    status: u16,
    body: Value,
    /// The request whose answer this is again.
    replayed: Option<String>,
    /// What it was about: the object in the path, and all that was written.
    touched: BTreeSet<String>,
    /// What the sandbox did to it on purpose.
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

/// One request, before it is understood.
struct Sent {
    id: String,
    method: String,
    path: String,
    form: Vec<u8>,
    version: String,
    idempotency_key: Option<String>,
}

/// Answers one API call.
pub(crate) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let mut sent = Sent {
        id: request_id(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        form: parts.uri.query().unwrap_or_default().as_bytes().to_vec(),
        version: text("stripe-version").unwrap_or_else(|| shape::DEFAULT_VERSION.to_owned()),
        idempotency_key: text("idempotency-key").filter(|key| !key.is_empty()),
    };
    let begun = Instant::now();
    let answer = match (authorize(&shared, &parts.headers), to_bytes(body, LARGEST_BODY).await) {
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
        Some("garbled") => GARBAGE.to_owned(),
        _ => serde_json::to_string_pretty(&answer.body).unwrap_or_default(),
    };
    shared.log(line(&shared, &sent, &answer, &body, begun.elapsed()));
    respond(&sent, &answer, body)
}

/// How a call is logged.
fn line(shared: &Shared, sent: &Sent, answer: &Answer, body: &str, took: Duration) -> Value {
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

/// `Authorization: Bearer sk_…`, or Basic with the key as the user.
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

/// The user of Basic credentials, which are base64 of `user:password`.
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

/// Carries a call out, with the misbehaviour that tests asked for.
async fn carry_out(shared: &Shared, sent: &Sent) -> Answer {
    let (fault, delay) = take_fault(shared, &sent.path);
    if let Some(Fault::Failed(status)) = fault {
        return Answer { fault: Some("failed"), ..Answer::failed(&ApiError::outage(status)) };
    }
    let understood = understand(sent);
    let lanes = match lanes(shared, sent, understood.as_ref().ok()) {
        Ok(lanes) => lanes,
        Err(error) => return Answer::failed(&error),
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.gates.pass(&sent.method, &sent.path).await;
    let mut answer =
        understood.map_or_else(|error| Answer::failed(&error), |(route, call)| work(shared, sent, route, &call));
    drop(lanes);
    let mangled = shared.lock().faults.mangled.clone();
    if !mangled.is_empty() {
        mangle(&mut answer.body, &mangled);
    }
    match fault {
        Some(Fault::Lost) => Answer { fault: Some("lost"), ..Answer::failed(&ApiError::outage(500)) },
        Some(Fault::Garbled) => Answer { status: 200, fault: Some("garbled"), ..answer },
        Some(Fault::Failed(_)) | None => answer,
    }
}

/// What is done to one call on purpose.
enum Fault {
    Failed(u16),
    Lost,
    Garbled,
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
        Faults { losing: left @ 1.., .. } => {
            *left -= 1;
            Some(Fault::Lost)
        }
        Faults { garbling: left @ 1.., .. } => {
            *left -= 1;
            Some(Fault::Garbled)
        }
        _ => None,
    };
    (fault, faults.delay)
}

/// Leaves of an object, wherever it stands in an answer, no more than its id.
fn mangle(answer: &mut Value, id: &str) {
    match answer {
        Value::Object(fields) if fields.get("id").is_some_and(|own| own == id) => {
            fields.retain(|name, _| matches!(name.as_str(), "id" | "object"));
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| mangle(value, id)),
        Value::Array(values) => values.iter_mut().for_each(|value| mangle(value, id)),
        _ => {}
    }
}

/// Takes what the call must have to itself.
fn lanes<'a>(
    shared: &'a Shared,
    sent: &Sent,
    understood: Option<&(&'static Route, Call)>,
) -> Result<Lanes<'a>, ApiError> {
    let mut lanes = Lanes { shared, taken: Vec::new() };
    if let Some(key) = sent.idempotency_key.as_deref().filter(|_| sent.method == "POST") {
        Keyed::check(key)?;
        if !lanes.take(format!("key:{key}")) {
            return Err(Keyed::in_use(key));
        }
    }
    let meter = understood.filter(|(route, _)| route.endpoint == meters::REPORT).map(|(_, call)| meters::lane(call));
    if let Some(meter) = meter
        && !lanes.take(meter)
    {
        return Err(meters::in_flight());
    }
    Ok(lanes)
}

/// Gives free what a call had to itself, also when the client hangs up.
struct Lanes<'a> {
    shared: &'a Shared,
    taken: Vec<String>,
}

impl Lanes<'_> {
    fn take(&mut self, name: String) -> bool {
        let free = self.shared.lock().in_use.insert(name.clone());
        if free {
            self.taken.push(name);
        }
        free
    }
}

impl Drop for Lanes<'_> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        for name in &self.taken {
            inner.in_use.remove(name);
        }
    }
}

fn understand(sent: &Sent) -> Result<(&'static Route, Call), ApiError> {
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

fn work(shared: &Shared, sent: &Sent, route: &Route, call: &Call) -> Answer {
    let key = sent.idempotency_key.clone().filter(|_| sent.method == "POST");
    let keyed = key.map(|key| Keyed::new(key, &sent.path, &call.params));
    let origin = || Origin {
        request: Some(sent.id.clone()),
        idempotency_key: sent.idempotency_key.clone(),
        base: String::new(),
    };
    let mut begun = false;
    let mut answer = None;
    let outcome = shared.transaction(origin(), |tx| {
        if let Some(keyed) = &keyed
            && let Some(replay) = keyed.earlier(tx)?
        {
            answer = Some(Answer { replayed: Some(replay.request), ..Answer::new(replay.status, replay.body) });
            return Ok(());
        }
        begun = true;
        let outcome = run(tx, route, call);
        let mut given = match &outcome {
            Ok(body) => Answer::new(200, body.clone()),
            Err(error) => refused(tx, error, &call.version),
        };
        given.touched = touched(tx, call);
        if let Some(keyed) = &keyed {
            keyed.keep(tx, given.status, &given.body);
        }
        answer = Some(given);
        outcome.map(|_| ())
    });
    match outcome {
        Ok(()) => {}
        Err(error) if begun && error.keeps_writes() => {}
        Err(error) if begun => {
            let given = answer.get_or_insert_with(|| Answer::failed(&error));
            // The work was undone, its record with it: keep the answer by itself.
            if let Some(keyed) = &keyed {
                shared.by_itself(|tx| {
                    tx.origin = origin();
                    keyed.keep(tx, given.status, &given.body);
                    Ok(())
                });
            }
        }
        Err(error) => return Answer::failed(&error),
    }
    answer.unwrap_or_else(|| Answer::failed(&ApiError::internal("no answer")))
}

fn run(tx: &mut Tx<'_>, route: &Route, call: &Call) -> Result<Value, ApiError> {
    let mut value = (route.run)(tx, call)?;
    expand::expand(tx, &mut value, call.params.list("expand"), &call.version)?;
    Ok(shape::render(&value, &call.version))
}

/// What of Stripe's objects a call is about.
fn touched(tx: &Tx<'_>, call: &Call) -> BTreeSet<String> {
    let ours = |id: &&str| !id.starts_with('_') && !id.starts_with("dlv_") && !id.starts_with("evt_");
    let mut touched: BTreeSet<String> = tx.touched().into_iter().filter(ours).map(str::to_owned).collect();
    touched.extend(Some(call.id.clone()).filter(|id| !id.is_empty()));
    touched
}

/// An error's body, with the intent it is about as it is now.
fn refused(tx: &Tx<'_>, error: &ApiError, version: &str) -> Answer {
    let mut answer = Answer::failed(error);
    if let Some((key, id)) = error.intent()
        && let Some(intent) = tx.get(id)
    {
        answer.body["error"].set(key, shape::render(intent, version));
    }
    answer
}

fn respond(sent: &Sent, answer: &Answer, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", if answer.fault == Some("garbled") { "text/html" } else { "application/json" });
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
