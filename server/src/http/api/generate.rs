//! `POST /api/v1/generate`: text for a prompt, for one unit of AI generations.
//!
//! The unit is held before the provider is asked, counted when the whole text has come, and
//! given back when it does not come or whoever asked has gone away. A stream runs one piece
//! behind: its last piece is sent only after the unit was counted, so that hanging up early
//! never gives a whole text for nothing. A call that is repeated with its `Idempotency-Key`
//! gets the same text and counts once (`tests/http/generate.rs`).

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Caller, fingerprint};
use super::problem::{Problem, Refusals};
use crate::ai::{AiError, Pieces};
use crate::ids;
use crate::product::AI_GENERATIONS;
use crate::store::StoreError;
use crate::tollgate::Tollgate;
use crate::usage::{HOLD, Reservation, Reserved, Use};

/// The longest prompt, in characters.
const MAX_PROMPT: usize = 4_000;
/// The longest that a text may take: less than a reservation holds, and than a request may take.
const MAX_TIME: Duration = Duration::from_secs(55);

/// What to write about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Prompt {
    /// What to write about: 1 to 4,000 characters, not blanks alone.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$",
        example = "A toll gate at dawn"
    )]
    prompt: String,
    /// Whether to send the text as it is written, as server-sent events. `Accept: text/event-stream` says so too.
    #[serde(default)]
    #[schema(default = false)]
    stream: bool,
}

/// What was written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Generated {
    /// Names this text.
    id: String,
    /// What has written it. `tollgate-local` is no language model: it makes texts without a network.
    model: String,
    /// The text.
    text: String,
}

/// One event of a text that is sent as it is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what a stream is made of, for its description")]
pub(super) struct TextEvent {
    /// `delta`, `done` or `problem`.
    event: String,
    /// JSON: `text` of a `delta`; `id` and `model` when it is `done`; a problem document.
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    model: &'a str,
    prompt_length: usize,
    text_length: usize,
}

/// Write a text
///
/// Costs one API call, and one AI generation when a text was written. With `stream` the answer is
/// server-sent events: `delta` with a piece of the `text`, then `done` with `id` and `model`, or
/// `problem` with what went wrong; then nothing was counted.
#[utoipa::path(
    post,
    path = "/api/v1/generate",
    operation_id = "generate",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same text for the same key, for a day, counted once.", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = Prompt,
    responses(
        (status = 200, description = "The text, whole or as it is written", content((Generated = "application/json"), (TextEvent = "text/event-stream"))),
        Refusals,
        (status = 400, description = "No JSON, or a bad `Idempotency-Key`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The `Idempotency-Key` is in use, or was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The prompt is missing, blank or too long", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The provider did not write a text; no generation was counted", body = Problem, content_type = "application/problem+json"),
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
    caller.count(&tollgate, &body).await?;

    let key = match &caller.idempotency_key {
        Some(key) => format!("generate:{key}"),
        None => format!("generation:{}", ids::new_id()),
    };
    let fingerprint = fingerprint(&body);
    let wanted =
        Use { fingerprint: &fingerprint, source: caller.source.as_deref(), ..Use::new(AI_GENERATIONS, 1, &key) };
    let is_stream = prompt.stream || wants_events(&headers);
    let reservation = match tollgate.reserve(&caller.account, wanted, HOLD).await {
        Ok(Reserved::Held(reservation, reading)) => {
            caller.learned(reading);
            reservation
        }
        Ok(Reserved::Repeated(reading)) => {
            caller.learned(reading);
            return again(&tollgate, &caller, &key, is_stream).await;
        }
        Ok(Reserved::InProgress(reading)) => {
            caller.learned(reading);
            return Err(Problem::in_progress());
        }
        Ok(Reserved::Denied(reading)) => {
            let problem = Problem::limit_reached(&tollgate, &reading);
            caller.learned(reading);
            return Err(problem);
        }
        Err(error) => return Err(Problem::of_usage(&error)),
    };
    let work =
        Work { held: Held { tollgate: tollgate.clone(), reservation: Some(reservation) }, prompt: prompt.prompt };
    if is_stream {
        return Ok(events(tollgate, work).into_response());
    }
    match tokio::time::timeout(MAX_TIME, whole(&tollgate, work)).await {
        Ok(generated) => generated.map(|generated| Json(generated).into_response()),
        Err(_) => Err(failed(&AiError::Late)),
    }
}

/// A prompt, and the unit that is held for it.
struct Work {
    held: Held,
    prompt: String,
}

/// A unit that is given back unless it is counted. Whoever asked may go away at any moment, and
/// with them everything that was under way: so giving back is what happens when this is dropped.
struct Held {
    tollgate: Tollgate,
    reservation: Option<Reservation>,
}

impl Held {
    /// Counts the unit. `false`: it took longer than the unit was held.
    async fn count(mut self, generated: &Generated, prompt: &str) -> Result<bool, StoreError> {
        let Some(reservation) = &self.reservation else { return Ok(false) };
        let metadata = Metadata {
            model: &generated.model,
            prompt_length: prompt.chars().count(),
            text_length: generated.text.chars().count(),
        };
        let (metadata, answer) = (serde_json::to_string(&metadata).ok(), serde_json::to_string(generated).ok());
        let counted = self.tollgate.commit(reservation, metadata, answer).await?;
        self.reservation = None;
        Ok(counted.is_some())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let tollgate = self.tollgate.clone();
        tokio::spawn(async move {
            if let Err(error) = tollgate.release(&reservation).await {
                tracing::warn!(%error, "a reservation could not be released; it runs out by itself");
            }
        });
    }
}

async fn whole(tollgate: &Tollgate, work: Work) -> Result<Generated, Problem> {
    let mut pieces = tollgate.ai().write(&work.prompt).await.map_err(|error| failed(&error))?;
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        text.push_str(&piece.map_err(|error| failed(&error))?);
    }
    let generated = Generated { id: ids::new_id(), model: tollgate.ai().model().to_owned(), text };
    counted(work, &generated).await?;
    Ok(generated)
}

async fn counted(work: Work, generated: &Generated) -> Result<(), Problem> {
    match work.held.count(generated, &work.prompt).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(&AiError::Late)),
        Err(error) => Err(Problem::unavailable(&error)),
    }
}

/// The text as it is written, one piece behind.
fn events(tollgate: Tollgate, work: Work) -> Sse<impl futures::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(async_stream::stream! {
        let deadline = tokio::time::Instant::now() + MAX_TIME;
        let mut text = String::new();
        let mut behind: Option<String> = None;
        let started = tokio::time::timeout_at(deadline, tollgate.ai().write(&work.prompt)).await;
        let mut pieces: Pieces = match started.unwrap_or(Err(AiError::Late)) {
            Ok(pieces) => pieces,
            Err(error) => {
                yield Ok(problem(&failed(&error)));
                return;
            }
        };
        loop {
            match tokio::time::timeout_at(deadline, pieces.next()).await {
                Ok(Some(Ok(piece))) => {
                    text.push_str(&piece);
                    if let Some(earlier) = behind.replace(piece) {
                        yield Ok(delta(&earlier));
                    }
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    yield Ok(problem(&failed(&error)));
                    return;
                }
                Err(_) => {
                    yield Ok(problem(&failed(&AiError::Late)));
                    return;
                }
            }
        }
        let generated = Generated { id: ids::new_id(), model: tollgate.ai().model().to_owned(), text };
        match counted(work, &generated).await {
            Ok(()) => {
                if let Some(last) = behind {
                    yield Ok(delta(&last));
                }
                yield Ok(done(&generated));
            }
            Err(refused) => yield Ok(problem(&refused)),
        }
    })
}

/// The text that was written under this key before.
async fn again(tollgate: &Tollgate, caller: &Caller, key: &str, is_stream: bool) -> Result<Response, Problem> {
    let kept = tollgate.kept_answer(&caller.account, key).await.map_err(|error| Problem::unavailable(&error))?;
    let Some(generated) = kept.and_then(|kept| serde_json::from_str::<Generated>(&kept).ok()) else {
        let detail = "A text was written under this key more than a day ago and is no longer kept. Use a new key.";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency-key", "Idempotency-Key used before", detail));
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
    tracing::warn!(%error, "no text was written");
    let detail = "The provider did not write a text. No generation was counted; try again in a moment.";
    Problem::new(StatusCode::BAD_GATEWAY, "provider-failed", "No text", detail)
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
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "Not JSON", detail).into());
    }
    let prompt: Prompt = serde_json::from_slice(body).map_err(|error| {
        let (status, kind) = match error.classify() {
            serde_json::error::Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "prompt"),
            _ => (StatusCode::BAD_REQUEST, "json"),
        };
        Box::new(Problem::new(status, kind, "Not understood", format!("The body is not what is expected: {error}.")))
    })?;
    let detail = match prompt.prompt.chars().count() {
        _ if prompt.prompt.contains('\0') => "The prompt holds a NUL.",
        MAX_PROMPT.. if prompt.prompt.chars().count() > MAX_PROMPT => "The prompt has more than 4,000 characters.",
        _ if prompt.prompt.trim().is_empty() => "The prompt is blank.",
        _ => return Ok(prompt),
    };
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "prompt", "Not understood", detail).into())
}

fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(status, "too-large", "Too large", "A body may have 64 KiB.");
    }
    Problem::new(StatusCode::BAD_REQUEST, "body", "Not understood", "The body could not be read.")
}
