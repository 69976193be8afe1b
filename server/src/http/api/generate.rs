//! `POST /api/v1/generate`: generates text from a prompt, for one unit of AI generations.
//!
//! The call is counted and the unit reserved before the provider is called. The unit is counted when the text is
//! complete, and released if the provider fails or the caller disconnects before receiving any of the text. A stream runs one chunk behind:
//! its last chunk is sent only after the unit was counted. A caller that disconnects mid-stream is charged, and
//! can get the whole text by repeating the call: with the same `Idempotency-Key` it gets the same text and
//! counts once (`tests/http/generate.rs`).

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use engine::metering::{self, RESERVATION_SECONDS, RecordedAndReserved, Reservation, Reserved, UsageEvent};
use engine::{StoreError, ids};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::caller::{Caller, fingerprint};
use super::problem::{Errors, Problem};
use crate::ai::{AiError, Chunks};
use crate::http::limits::MAX_BODY;
use crate::product::AI_GENERATIONS;
use crate::tollgate::Tollgate;

/// The maximum length of a prompt, in characters.
const MAX_PROMPT: usize = 4_000;
/// The timeout of a generation: less than a reservation's and a request's.
const MAX_TIME: Duration = Duration::from_secs(55);

/// A generation request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Prompt {
    /// The subject of the text. It must not be blank.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$",
        example = "A toll gate at dawn"
    )]
    prompt: String,
    /// Whether to stream the text as server-sent events. `Accept: text/event-stream` does the same.
    #[serde(default)]
    #[schema(default = false)]
    stream: bool,
}

/// Generated text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Generated {
    /// The id of the generation.
    id: String,
    /// The model that wrote it. `tollgate-local` is a placeholder that needs no network.
    model: String,
    /// The whole generated text.
    text: String,
}

/// An event of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the events of a stream, for its description")]
pub(super) struct TextEvent {
    /// `delta`, `done` or `problem`.
    event: String,
    /// JSON: the `text` of a `delta`, the `id` and `model` of `done`, or a problem document.
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    model: &'a str,
    prompt_length: usize,
    text_length: usize,
}

/// Generate text
///
/// Counts as one API call unless it is denied, and as one AI generation if it succeeds. With `stream` the response is
/// server-sent events: `delta` with a chunk of the `text`, then `done` with `id` and `model`, or
/// `problem` with an error.
#[utoipa::path(
    post,
    path = "/api/v1/generate",
    operation_id = "generate",
    params(("Idempotency-Key" = Option<String>, Header, description = "Returns the same text for the same key for a day, and counts once.", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = Prompt,
    responses(
        (status = 200, description = "The text, complete or streamed", content((Generated = "application/json"), (TextEvent = "text/event-stream"))),
        Errors,
        (status = 400, description = "Invalid JSON or `Idempotency-Key`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The `Idempotency-Key` is in use, or was used for a different request", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The prompt is missing, blank or too long", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The provider failed; no generation was counted", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []), ("session" = [])),
)]
pub(super) async fn generate(
    State(tollgate): State<Tollgate>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(rejection.status()))?;
    let prompt = read(&headers, &body).map_err(|problem| *problem)?;
    let call = caller.call(&body);
    let key = match &caller.idempotency_key {
        Some(key) => format!("generate:{key}"),
        None => format!("generation:{}", ids::new_id()),
    };
    let fingerprint = fingerprint(&body);
    let event = UsageEvent {
        is_new_key: caller.idempotency_key.is_none(),
        fingerprint: &fingerprint,
        source: caller.source.as_deref(),
        ..UsageEvent::new(AI_GENERATIONS, 1, &key)
    };
    let is_stream = prompt.stream || wants_events(&headers);
    let begun =
        metering::record_and_reserve(&tollgate, &caller.account, call.event(), event, RESERVATION_SECONDS).await;
    let RecordedAndReserved { event, work } = begun.map_err(|error| Problem::from_usage(&error))?;
    let Some(work) = work else { return Err(caller.denied(&tollgate, event)) };
    caller.note(event);
    let reservation = match work {
        Reserved::Held(reservation, reading) => {
            caller.note(reading);
            reservation
        }
        Reserved::Repeated(reading) => {
            caller.note(reading);
            return repeat(&tollgate, &caller, &key, is_stream).await;
        }
        Reserved::InProgress(reading) => {
            caller.note(reading);
            return Err(Problem::in_progress());
        }
        Reserved::Denied(reading) => return Err(caller.denied(&tollgate, reading)),
    };
    let is_repeatable = caller.idempotency_key.is_some();
    let held = Held { tollgate: tollgate.clone(), reservation: Some(reservation), is_repeatable };
    let work = Work { held, prompt: prompt.prompt };
    if is_stream { Ok(events(tollgate, work, MAX_TIME).into_response()) } else { text(&tollgate, work, MAX_TIME).await }
}

/// A prompt, and the unit that is reserved for it.
struct Work {
    held: Held,
    prompt: String,
}

/// A unit that is released unless it is counted. The caller may disconnect at any moment, which
/// drops everything in progress, so it is released on drop.
struct Held {
    tollgate: Tollgate,
    reservation: Option<Reservation>,
    /// Whether the caller knows its key, so that the text is kept under it.
    is_repeatable: bool,
}

impl Held {
    /// Counts the unit. `false` if the reservation has expired.
    async fn count(mut self, generated: &Generated, prompt: &str) -> Result<bool, StoreError> {
        let Some(reservation) = &self.reservation else { return Ok(false) };
        let metadata = Metadata {
            model: &generated.model,
            prompt_length: prompt.chars().count(),
            text_length: generated.text.chars().count(),
        };
        let metadata = serde_json::to_string(&metadata).ok();
        let response = if self.is_repeatable { serde_json::to_string(generated).ok() } else { None };
        let counted = metering::commit(&self.tollgate, reservation, metadata, response).await?;
        self.reservation = None;
        Ok(counted.is_some())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let tollgate = self.tollgate.clone();
        tokio::spawn(async move {
            if let Err(error) = metering::release(&tollgate, &reservation).await {
                tracing::warn!(%error, "a reservation could not be released; it expires by itself");
            }
        });
    }
}

async fn text(tollgate: &Tollgate, work: Work, max_time: Duration) -> Result<Response, Problem> {
    // The timeout covers only the provider: a count that has started is not canceled.
    let generated = tokio::time::timeout(max_time, complete(tollgate, &work.prompt)).await;
    let generated = generated.unwrap_or(Err(AiError::TimedOut)).map_err(|error| failed(&error))?;
    count(work, &generated).await?;
    Ok(Json(generated).into_response())
}

async fn complete(tollgate: &Tollgate, prompt: &str) -> Result<Generated, AiError> {
    let mut chunks = tollgate.ai().generate(prompt).await?;
    let mut text = String::new();
    while let Some(chunk) = chunks.next().await {
        text.push_str(&chunk?);
    }
    Ok(Generated { id: ids::new_id(), model: tollgate.ai().model().to_owned(), text })
}

async fn count(work: Work, generated: &Generated) -> Result<(), Problem> {
    match work.held.count(generated, &work.prompt).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(&AiError::TimedOut)),
        Err(error) => Err(Problem::unavailable(&error)),
    }
}

/// Streams the text. A separate task writes it at the provider's pace: a caller that reads slowly or
/// disconnects after the first chunk neither delays nor avoids the count.
fn events(
    tollgate: Tollgate,
    work: Work,
    max_time: Duration,
) -> Sse<impl futures::Stream<Item = Result<Event, Infallible>>> {
    let (sender, mut events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let has_sent = AtomicBool::new(false);
        let writing = write(&tollgate, work, max_time, &sender, &has_sent);
        let disconnected = async {
            sender.closed().await;
            if has_sent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = writing => {}
            () = disconnected => tracing::info!("the caller disconnected before the first chunk"),
        }
    });
    Sse::new(futures::stream::poll_fn(move |context| events.poll_recv(context).map(|event| event.map(Ok))))
}

/// Writes the text into `events`, one chunk behind.
async fn write(
    tollgate: &Tollgate,
    work: Work,
    max_time: Duration,
    events: &mpsc::UnboundedSender<Event>,
    has_sent: &AtomicBool,
) {
    // The caller may have disconnected; the text is still counted, and kept under its key.
    let send = |event| drop(events.send(event));
    let mut text = String::new();
    let mut last: Option<String> = None;
    let chunks = async {
        let mut chunks: Chunks = tollgate.ai().generate(&work.prompt).await?;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            text.push_str(&chunk);
            if let Some(earlier) = last.replace(chunk) {
                has_sent.store(true, Ordering::SeqCst);
                send(delta(&earlier));
            }
        }
        Ok(())
    };
    if let Err(error) = tokio::time::timeout(max_time, chunks).await.unwrap_or(Err(AiError::TimedOut)) {
        return send(problem(&failed(&error)));
    }
    let generated = Generated { id: ids::new_id(), model: tollgate.ai().model().to_owned(), text };
    match count(work, &generated).await {
        Ok(()) => {
            last.iter().for_each(|last| send(delta(last)));
            send(done(&generated));
        }
        Err(error) => send(problem(&error)),
    }
}

/// Returns the text that was generated under this key before.
async fn repeat(tollgate: &Tollgate, caller: &Caller, key: &str, is_stream: bool) -> Result<Response, Problem> {
    let kept =
        metering::kept_response(tollgate, &caller.account, key).await.map_err(|error| Problem::unavailable(&error))?;
    let Some(generated) = kept.and_then(|kept| serde_json::from_str::<Generated>(&kept).ok()) else {
        let detail = "This key was used more than a day ago, and its text is no longer kept. Use a new key.";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency-key", "Idempotency-Key already used", detail));
    };
    if !is_stream {
        return Ok(Json(generated).into_response());
    }
    let all = [Ok::<_, Infallible>(delta(&generated.text)), Ok(done(&generated))];
    Ok(Sse::new(futures::stream::iter(all)).into_response())
}

fn delta(text: &str) -> Event {
    Event::default().event("delta").data(serde_json::json!({ "text": text }).to_string())
}

fn done(generated: &Generated) -> Event {
    Event::default().event("done").data(serde_json::json!({ "id": generated.id, "model": generated.model }).to_string())
}

fn problem(problem: &Problem) -> Event {
    Event::default().event("problem").data(problem.as_json())
}

fn failed(error: &AiError) -> Problem {
    tracing::warn!(%error, "no text was generated");
    let detail = "The AI provider failed. No generation was counted; retry in a moment.";
    Problem::new(StatusCode::BAD_GATEWAY, "provider-failed", "Provider failed", detail)
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|part| part.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream"))
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Prompt, Box<Problem>> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = "Send the body as application/json.";
        return Err(
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "Unsupported media type", detail).into()
        );
    }
    let prompt: Prompt = serde_json::from_slice(body).map_err(|error| {
        let (status, kind) = match error.classify() {
            serde_json::error::Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "prompt"),
            _ => (StatusCode::BAD_REQUEST, "json"),
        };
        Box::new(Problem::new(status, kind, "Invalid body", format!("The body is invalid: {error}.")))
    })?;
    let detail = if prompt.prompt.contains('\0') {
        "The prompt contains a NUL character.".to_owned()
    } else if prompt.prompt.chars().count() > MAX_PROMPT {
        format!("The prompt has more than {MAX_PROMPT} characters.")
    } else if prompt.prompt.trim().is_empty() {
        "The prompt is blank.".to_owned()
    } else {
        return Ok(prompt);
    };
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "prompt", "Invalid prompt", detail).into())
}

fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("The body is larger than {} KiB.", MAX_BODY / 1024);
        return Problem::new(status, "too-large", "Too large", detail);
    }
    Problem::new(StatusCode::BAD_REQUEST, "body", "Invalid body", "The body could not be read.")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use billing::AccountId;
    use engine::clock::Clock;
    use engine::{Billable, Db};
    use tokio::net::TcpListener;

    use super::*;
    use crate::assets::Assets;
    use crate::config::{AiConfig, Config};

    /// An app whose provider accepts requests and never responds, and a unit reserved for an account.
    async fn reserved(provider: &TcpListener, account: &AccountId) -> (Tollgate, Work) {
        let config = Config::from_lookup(&|name| (name == "DATABASE_URL").then(|| "sqlite::memory:".to_owned()));
        let mut config = config.unwrap();
        let base_url = format!("http://{}/v1", provider.local_addr().unwrap()).parse().unwrap();
        config.ai = Some(AiConfig { base_url, api_key: None, model: "small-model".to_owned() });
        let db = Db::connect(&config.database_url).await.unwrap();
        crate::store::migrate(&db).await.unwrap();
        let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap();
        tollgate.ensure_account(&Billable::new(account.as_str(), "ada@example.com")).await.unwrap();
        let event = UsageEvent::new(AI_GENERATIONS, 1, "a generation");
        let reserved = metering::reserve(&tollgate, account, event, RESERVATION_SECONDS).await.unwrap();
        let Reserved::Held(reservation, _) = reserved else { panic!("{reserved:?}") };
        let held = Held { tollgate: tollgate.clone(), reservation: Some(reservation), is_repeatable: true };
        (tollgate, Work { held, prompt: "a story".to_owned() })
    }

    /// The used and the reserved units, once a release in progress has ended.
    async fn units(tollgate: &Tollgate, account: &AccountId) -> (u64, u64) {
        loop {
            let readings = metering::read(tollgate, account).await.unwrap();
            let reading = readings.iter().find(|reading| reading.meter == AI_GENERATIONS).unwrap();
            if reading.reserved == 0 {
                return (reading.used, reading.reserved);
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_generation_that_takes_too_long_is_a_problem_and_releases_its_unit() {
        let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let account = AccountId::new("account-ada");
        let (tollgate, work) = reserved(&provider, &account).await;
        let response = text(&tollgate, work, Duration::ZERO).await.unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(units(&tollgate, &account).await, (0, 0));
    }

    #[tokio::test]
    async fn a_stream_that_takes_too_long_ends_in_a_problem_and_releases_its_unit() {
        let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let account = AccountId::new("account-ada");
        let (tollgate, work) = reserved(&provider, &account).await;
        let response = events(tollgate.clone(), work, Duration::ZERO).into_response();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.starts_with("event: problem") && body.contains("urn:tollgate:problem:provider-failed"), "{body}");
        assert_eq!(units(&tollgate, &account).await, (0, 0));
    }
}
