//! `/v1/…`: from an HTTP request to Stripe's answer.
//!
//! The order is Stripe's: the key, the route, the parameters, the idempotency key, and only
//! then the work. Invariant: the answer's body and its idempotency record are one.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::error::ApiError;
use crate::expand;
use crate::fields::Fields;
use crate::form::{self, Node};
use crate::http::{self, Call, Route};
use crate::idempotency::Keyed;
use crate::params;
use crate::shape;
use crate::state::{RequestLine, Shared, request_id};
use crate::store::{Origin, Tx};

/// More than any honest request.
const LARGEST_BODY: usize = 1 << 20;

/// What is sent back.
struct Answer {
    status: u16,
    body: Value,
    /// The request whose answer this is again.
    replayed: Option<String>,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body, replayed: None }
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
    shared.log(RequestLine {
        method: sent.method.clone(),
        path: sent.path.clone(),
        status: answer.status,
        idempotency_key: sent.idempotency_key.clone(),
    });
    respond(&sent, &answer)
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
    let (injected, lost, delay) = {
        let mut inner = shared.lock();
        let injected = match &mut inner.failing {
            (0, _) => None,
            (left, status) => {
                *left -= 1;
                Some(*status)
            }
        };
        let lost = injected.is_none() && inner.losing > 0;
        inner.losing -= u32::from(lost);
        (injected, lost, inner.delay)
    };
    if let Some(status) = injected {
        return Answer::failed(&ApiError::outage(status));
    }
    let key = sent.idempotency_key.clone().filter(|_| sent.method == "POST");
    if let Some(key) = &key
        && !shared.lock().keys_in_use.insert(key.clone())
    {
        return Answer::failed(&Keyed::in_use(key));
    }
    let release = Release { shared, key: &key };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let answer =
        understand(sent).map_or_else(|error| Answer::failed(&error), |(route, call)| work(shared, sent, route, &call));
    drop(release);
    match lost {
        true => Answer::failed(&ApiError::outage(500)),
        false => answer,
    }
}

/// Gives the idempotency key free, also when the client hangs up.
struct Release<'a> {
    shared: &'a Shared,
    key: &'a Option<String>,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.lock().keys_in_use.remove(key);
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
            answer = Some(Answer { status: replay.status, body: replay.body, replayed: Some(replay.request) });
            return Ok(());
        }
        begun = true;
        let outcome = run(tx, route, call);
        let given = match &outcome {
            Ok(body) => Answer::new(200, body.clone()),
            Err(error) => refused(tx, error, &call.version),
        };
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

fn respond(sent: &Sent, answer: &Answer) -> Response {
    let body = serde_json::to_string_pretty(&answer.body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", "application/json");
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
