//! A text for a prompt: one unit, counted when the text is complete and not before.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use billing::AccountId;
use engine::metering::{self, MeterReading, RESERVATION_SECONDS, Reserved, UsageEvent};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use server::config::AiConfig;
use server::product::AI_GENERATIONS;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Browser, DatabaseKind, Harness, Page, on_both_databases};

/// The behavior of the provider's language model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    Writes,
    Fails,
    /// Accepts the request and never writes.
    Hangs,
    /// Begins, and ends when the gate is opened.
    Pauses,
    /// Begins and loses the connection.
    Breaks,
}

/// An endpoint that speaks OpenAI's chat completions.
#[derive(Clone)]
struct Provider {
    url: String,
    behavior: Arc<Mutex<Behavior>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    gate: Arc<Notify>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            behavior: Arc::new(Mutex::new(Behavior::Writes)),
            asked: Arc::default(),
            gate: Arc::default(),
        };
        let router = axum::Router::new().route("/v1/chat/completions", post(complete)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    fn set(&self, behavior: Behavior) {
        *self.behavior.lock().unwrap() = behavior;
    }
}

async fn complete(State(provider): State<Provider>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let key = headers["authorization"].to_str().unwrap().to_owned();
    provider.asked.lock().unwrap().push((key, body));
    let piece = |text: &str| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }));
    let behavior = *provider.behavior.lock().unwrap();
    let pieces = match behavior {
        Behavior::Fails => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        Behavior::Writes => vec![piece("Once "), piece("upon a time"), "data: [DONE]\n\n".to_owned()],
        Behavior::Hangs => Vec::new(),
        Behavior::Pauses | Behavior::Breaks => vec![piece("Once "), piece("upon "), piece("a ")],
    };
    let rest = async move {
        match behavior {
            Behavior::Hangs => std::future::pending().await,
            Behavior::Pauses => {
                provider.gate.notified().await;
                format!("{}data: [DONE]\n\n", piece("time"))
            }
            Behavior::Writes | Behavior::Fails | Behavior::Breaks => String::new(),
        }
    };
    let sent = futures::stream::iter(pieces).chain(futures::stream::once(rest)).map(Ok::<_, std::convert::Infallible>);
    ([("content-type", "text/event-stream")], Body::from_stream(sent)).into_response()
}

async fn start(database: DatabaseKind) -> (Harness, Provider) {
    let provider = Provider::start().await;
    let base_url = provider.url.parse().unwrap();
    let app = Harness::start_configured(
        database,
        |_| {},
        |config| {
            config.ai = Some(AiConfig { base_url, api_key: Some("sk-secret".into()), model: "small-model".to_owned() });
        },
    )
    .await;
    (app, provider)
}

fn request(browser: &Browser, body: &Value) -> reqwest::RequestBuilder {
    browser.request(Method::POST, "/api/v1/generate").header("sec-fetch-site", "same-origin").json(body)
}

async fn generate(browser: &Browser, prompt: &str) -> Page {
    Page::of(request(browser, &json!({ "prompt": prompt }))).await
}

async fn reading(app: &Harness) -> MeterReading {
    let readings = metering::read(&app.tollgate, &app.account("ada@example.com").await).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == AI_GENERATIONS).unwrap()
}

/// The used and the reserved units.
async fn state(app: &Harness) -> (u64, u64) {
    let reading = reading(app).await;
    (reading.used, reading.reserved)
}

/// Reserves a unit, and drops the request after `polls` polls.
async fn reserve_and_leave(app: &Harness, account: &AccountId, polls: usize) {
    let key = format!("{polls} polls");
    let event = UsageEvent::new(AI_GENERATIONS, 1, &key);
    let mut reserving = pin!(metering::reserve(&app.tollgate, account, event, RESERVATION_SECONDS));
    for _ in 0..polls {
        if let Poll::Ready(reserved) = futures::poll!(reserving.as_mut()) {
            let Reserved::Held(reservation, _) = reserved.unwrap() else { panic!("it was not reserved") };
            metering::release(&app.tollgate, &reservation).await.unwrap();
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until a unit is released, which happens after its caller has disconnected.
async fn until_released(app: &Harness) {
    app.until(async || state(app).await == (0, 0)).await;
}

on_both_databases! {
    async fn the_local_placeholder_generates_without_a_provider_and_is_reported(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let page = generate(&browser, "a toll gate at dawn").await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.json()["model"], json!("tollgate-local"));
        assert!(page.json()["text"].as_str().unwrap().contains("a toll gate at dawn"));
        assert_eq!(state(&app).await, (1, 0));
        assert!(page.header("ratelimit").unwrap().contains("\"aiGenerationsPerMonth\";r=9;"), "{:?}", page.header("ratelimit"));

        let usage = browser.get("/api/v1/usage").await.json();
        let used: Vec<_> = usage["meters"].as_array().unwrap().iter().map(|meter| meter["used"].as_u64().unwrap()).collect();
        assert_eq!(used, [2, 1], "a call each, and one generation");
        let metadata = "SELECT metadata FROM usage_record WHERE meter = 'aiGenerationsPerMonth'";
        let metadata = app.database.texts(app.tollgate.db(), metadata).await;
        let metadata: Value = serde_json::from_str(&metadata[0]).unwrap();
        assert_eq!((&metadata["promptLength"], &metadata["model"]), (&json!(19), &json!("tollgate-local")));
    }

    async fn the_provider_is_called_with_its_key_and_model(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let page = generate(&browser, "a story").await;
        assert_eq!((page.status, page.json()["text"].clone()), (200, json!("Once upon a time")));
        assert_eq!(page.json()["model"], json!("small-model"));
        let asked = provider.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].0, "Bearer sk-secret");
        assert_eq!((&asked[0].1["model"], &asked[0].1["messages"][0]["content"]), (&json!("small-model"), &json!("a story")));
    }

    async fn a_provider_failure_returns_502_and_releases_the_unit(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for behavior in [Behavior::Fails, Behavior::Breaks] {
            provider.set(behavior);
            let page = generate(&browser, "a story").await;
            assert_eq!(page.status, 502, "{behavior:?}: {}", page.body);
            assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
            until_released(&app).await;
        }
        provider.set(Behavior::Writes);
        assert_eq!(generate(&browser, "a story").await.status, 200);
        assert_eq!(state(&app).await, (1, 0));
    }

    async fn a_key_can_be_used_again_after_a_failure(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.set(Behavior::Fails);
        let again = || request(&browser, &json!({ "prompt": "a story" })).header("idempotency-key", "once");
        assert_eq!(Page::of(again()).await.status, 502);
        until_released(&app).await;
        provider.set(Behavior::Writes);
        assert_eq!(Page::of(again()).await.status, 200);
        assert_eq!(state(&app).await, (1, 0));
    }

    async fn a_caller_that_disconnects_before_the_first_chunk_is_not_charged(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.set(Behavior::Hangs);
        for body in [json!({ "prompt": "a story" }), json!({ "prompt": "a story", "stream": true })] {
            let sent = request(&browser, &body);
            let waiting = tokio::spawn(async move {
                let response = sent.send().await.unwrap();
                response.text().await
            });
            app.until(async || state(&app).await == (0, 1)).await;
            waiting.abort();
            until_released(&app).await;
        }
    }

    async fn a_caller_that_disconnects_mid_stream_is_charged_and_can_get_the_rest(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.set(Behavior::Pauses);
        let body = json!({ "prompt": "a story", "stream": true });
        let mut response = request(&browser, &body).header("idempotency-key", "once").send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some(), "the first chunk has arrived");
        drop(response);
        assert_eq!(state(&app).await, (0, 1));
        provider.gate.notify_one();
        app.until(async || state(&app).await == (1, 0)).await;
        let again = Page::of(request(&browser, &body).header("idempotency-key", "once")).await;
        assert!(again.body.contains("Once upon a time"), "{}", again.body);
        assert_eq!(state(&app).await, (1, 0));
    }

    /// Whether the reservation is requested, being committed or committed.
    async fn a_caller_that_disconnects_at_any_moment_leaves_no_reservation(database) {
        let app = Harness::start(database).await;
        app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        for polls in 0..60 {
            reserve_and_leave(&app, &account, polls).await;
            until_released(&app).await;
        }
        // It is committed after all the others.
        metering::record(&app.tollgate, &account, UsageEvent::new(AI_GENERATIONS, 1, "the last")).await.unwrap();
        app.until(async || state(&app).await == (1, 0)).await;
    }

    async fn a_stream_sends_the_text_as_it_is_written_and_counts_once(database) {
        let (app, _provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let asked = [
            request(&browser, &json!({ "prompt": "a story", "stream": true })),
            request(&browser, &json!({ "prompt": "a story" })).header("accept", "text/event-stream"),
        ];
        for (number, request) in asked.into_iter().enumerate() {
            let page = Page::of(request).await;
            assert_eq!((page.status, page.header("content-type").as_deref()), (200, Some("text/event-stream")));
            let events = events(&page.body);
            let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["delta", "delta", "done"], "{}", page.body);
            assert_eq!((&events[0].1["text"], &events[1].1["text"]), (&json!("Once "), &json!("upon a time")));
            assert_eq!(events[2].1["model"], json!("small-model"));
            assert_eq!(state(&app).await, (number as u64 + 1, 0));
        }
    }

    async fn a_stream_that_breaks_ends_in_a_problem_and_is_not_charged(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.set(Behavior::Breaks);
        let page = Page::of(request(&browser, &json!({ "prompt": "a story", "stream": true }))).await;
        let events = events(&page.body);
        let (name, problem) = events.last().unwrap();
        assert_eq!((name.as_str(), &problem["status"]), ("problem", &json!(502)), "{}", page.body);
        assert!(!page.body.contains("\"a \""), "the last chunk is sent before it is counted");
        until_released(&app).await;
    }

    async fn the_same_key_gets_the_same_text_and_counts_once(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let again = |prompt: &str| request(&browser, &json!({ "prompt": prompt })).header("idempotency-key", "once");
        let first = Page::of(again("a story")).await;
        assert_eq!(first.status, 200);
        let second = Page::of(again("a story")).await;
        assert_eq!((second.status, second.json()), (200, first.json()));
        assert_eq!(Page::of(again("another story")).await.status, 409);
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(Page::of(again("a story")))).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().json(), first.json());
        }
        assert_eq!(state(&app).await, (1, 0));
        let usage = browser.get("/api/v1/usage").await.json();
        assert_eq!(usage["meters"][0]["used"], json!(2), "the call counts once as well");
    }

    async fn ten_concurrent_calls_with_one_key_generate_once(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(Page::of(request(&browser, &json!({ "prompt": "a story" })).header("idempotency-key", "once"))))
            .collect();
        for call in calls {
            let page = call.await.unwrap();
            assert!(page.status == 200 || (page.status == 409 && page.json()["type"] == json!("urn:tollgate:problem:in-progress")), "{}", page.body);
        }
        assert_eq!(state(&app).await, (1, 0));
    }

    async fn a_call_beyond_the_limit_returns_402_and_the_meter(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let browser = browser.clone();
                tokio::spawn(async move { generate(&browser, "a story").await })
            })
            .collect();
        let mut written = 0;
        for call in calls {
            let page = call.await.unwrap();
            match page.status {
                200 => written += 1,
                402 => assert_eq!((&page.json()["meter"], &page.json()["limit"]), (&json!("aiGenerationsPerMonth"), &json!(10))),
                other => panic!("{other}: {}", page.body),
            }
        }
        assert_eq!(written, 10);
    }

    async fn an_invalid_prompt_is_rejected_and_counts_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let long = format!("{{\"prompt\":\"{}\"}}", "x".repeat(4_001));
        let bodies: [(&str, u16); 12] = [
            ("", 400), ("{", 400), ("[]", 422), ("{}", 422), ("{\"prompt\":1}", 422), ("{\"prompt\":\"\"}", 422), ("{\"prompt\":\" \\n\"}", 422),
            ("{\"prompt\":\"a\\u0000b\"}", 422), ("{\"prompt\":\"a\",\"model\":\"gpt\"}", 422), ("{\"prompt\":\"a\",\"stream\":1}", 422),
            (&long, 422), ("null", 422),
        ];
        for (body, status) in bodies {
            let request = browser.request(Method::POST, "/api/v1/generate").header("content-type", "application/json").body(body.to_owned());
            let page = Page::of(request).await;
            assert_eq!(page.status, status, "{body}: {}", page.body);
            assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
        }
        let huge = browser.request(Method::POST, "/api/v1/generate").header("content-type", "application/json").body("x".repeat(70_000));
        assert_eq!(Page::of(huge).await.status, 413);
        let form = browser.request(Method::POST, "/api/v1/generate").form(&[("prompt", "a story")]);
        assert_eq!(Page::of(form).await.status, 415);
        assert_eq!(state(&app).await, (0, 0));
    }
}

/// The events of a stream: name and data.
fn events(body: &str) -> Vec<(String, Value)> {
    body.split("\n\n")
        .filter(|event| !event.trim().is_empty())
        .map(|event| {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
            (field("event:").to_owned(), serde_json::from_str(field("data:")).unwrap())
        })
        .collect()
}
