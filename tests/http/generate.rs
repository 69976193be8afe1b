//! Text for a prompt: one unit, counted when the text is there and not before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use billing::AccountId;
use reqwest::Method;
use serde_json::{Value, json};
use server::config::AiConfig;
use server::product::AI_GENERATIONS;
use server::store::{accounts, usage as rows};
use server::usage::MeterReading;
use tokio::net::TcpListener;

use crate::support::{Browser, DatabaseKind, Harness, Page, on_both_databases};

/// How somebody else's language model behaves today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Writes,
    Fails,
    /// Begins and never ends.
    Hangs,
    /// Begins and loses the line.
    Breaks,
}

/// An endpoint that speaks OpenAI's chat completions.
#[derive(Clone)]
struct Provider {
    url: String,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            mood: Arc::new(Mutex::new(Mood::Writes)),
            asked: Arc::default(),
        };
        let router = axum::Router::new().route("/v1/chat/completions", post(complete)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn complete(State(provider): State<Provider>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let key = headers["authorization"].to_str().unwrap().to_owned();
    provider.asked.lock().unwrap().push((key, body));
    let piece = |text: &str| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }));
    let mood = *provider.mood.lock().unwrap();
    let pieces = match mood {
        Mood::Fails => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        Mood::Writes => vec![piece("Once "), piece("upon a time"), "data: [DONE]\n\n".to_owned()],
        Mood::Hangs | Mood::Breaks => vec![piece("Once "), piece("upon "), piece("a ")],
    };
    let begun = futures_of(pieces);
    let body = if mood == Mood::Hangs { Body::from_stream(begun.chain_pending()) } else { Body::from_stream(begun) };
    ([("content-type", "text/event-stream")], body).into_response()
}

/// The pieces as a stream; what comes after them is nothing, or nothing ever.
struct Sent {
    pieces: std::vec::IntoIter<String>,
    hangs: bool,
}

fn futures_of(pieces: Vec<String>) -> Sent {
    Sent { pieces: pieces.into_iter(), hangs: false }
}

impl Sent {
    fn chain_pending(self) -> Self {
        Self { hangs: true, ..self }
    }
}

impl futures::Stream for Sent {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        match self.pieces.next() {
            Some(piece) => std::task::Poll::Ready(Some(Ok(piece))),
            None if self.hangs => std::task::Poll::Pending,
            None => std::task::Poll::Ready(None),
        }
    }
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

async fn account(app: &Harness) -> AccountId {
    accounts::user_by_login(app.tollgate.db(), "ada@example.com").await.unwrap().unwrap().account_id
}

async fn reading(app: &Harness) -> MeterReading {
    let readings = app.tollgate.usage(&account(app).await).await.unwrap();
    readings.into_iter().find(|reading| reading.meter == AI_GENERATIONS).unwrap()
}

/// Used, and held.
async fn state(app: &Harness) -> (u64, u64) {
    let reading = reading(app).await;
    (reading.used, reading.reserved)
}

/// Giving back happens when nobody is there to wait for it.
async fn until_given_back(app: &Harness) {
    let given_back = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while state(app).await != (0, 0) {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), given_back).await.expect("the unit is given back");
}

on_both_databases! {
    async fn without_a_provider_a_text_is_written_all_the_same_and_says_so(database) {
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
        let records = rows::records_of(app.tollgate.db(), &account(&app).await, AI_GENERATIONS, 10).await.unwrap();
        let metadata: Value = serde_json::from_str(records[0].3.as_deref().unwrap()).unwrap();
        assert_eq!((&metadata["promptLength"], &metadata["model"]), (&json!(19), &json!("tollgate-local")));
    }

    async fn a_provider_is_asked_with_its_key_and_model(database) {
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

    async fn a_provider_that_fails_gives_the_unit_back(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for mood in [Mood::Fails, Mood::Breaks] {
            provider.is(mood);
            let page = generate(&browser, "a story").await;
            assert_eq!(page.status, 502, "{mood:?}: {}", page.body);
            assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
            until_given_back(&app).await;
        }
        provider.is(Mood::Writes);
        assert_eq!(generate(&browser, "a story").await.status, 200);
        assert_eq!(state(&app).await, (1, 0));
    }

    async fn a_key_whose_work_failed_can_be_used_again(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.is(Mood::Fails);
        let again = || request(&browser, &json!({ "prompt": "a story" })).header("idempotency-key", "once");
        assert_eq!(Page::of(again()).await.status, 502);
        until_given_back(&app).await;
        provider.is(Mood::Writes);
        assert_eq!(Page::of(again()).await.status, 200);
        assert_eq!(state(&app).await, (1, 0));
    }

    async fn who_goes_away_is_not_charged(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.is(Mood::Hangs);
        for body in [json!({ "prompt": "a story" }), json!({ "prompt": "a story", "stream": true })] {
            let sent = request(&browser, &body);
            let waiting = tokio::spawn(async move {
                let response = sent.send().await.unwrap();
                response.text().await
            });
            let begun = async {
                let mut pause = tokio::time::interval(Duration::from_millis(10));
                while state(&app).await != (0, 1) {
                    pause.tick().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), begun).await.expect("the work begins");
            waiting.abort();
            until_given_back(&app).await;
        }
    }

    async fn a_text_that_takes_too_long_is_answered_as_a_problem_and_given_back(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.is(Mood::Hangs);
        let (hasty, _) = app.another_node(|config| config.request_patience = Duration::from_secs(2)).await;
        let page = generate(&browser.at(&hasty), "a story").await;
        assert_eq!((page.status, &page.json()["type"]), (503, &json!("urn:tollgate:problem:late")));
        assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
        let left = page.header("ratelimit").unwrap();
        assert!(left.contains("\"burst\";r=") && left.contains("\"aiGenerationsPerMonth\";r=9;"), "{left}");
        until_given_back(&app).await;
    }

    async fn a_stream_sends_the_text_as_it_is_written_and_counts_it_once(database) {
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

    async fn a_stream_that_breaks_says_so_and_is_not_charged(database) {
        let (app, provider) = start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        provider.is(Mood::Breaks);
        let page = Page::of(request(&browser, &json!({ "prompt": "a story", "stream": true }))).await;
        let events = events(&page.body);
        let (name, problem) = events.last().unwrap();
        assert_eq!((name.as_str(), &problem["status"]), ("problem", &json!(502)), "{}", page.body);
        assert!(!page.body.contains("\"a \""), "the last piece is not sent before it counts");
        until_given_back(&app).await;
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
        assert_eq!(usage["meters"][0]["used"], json!(2), "the call counts once, too");
    }

    async fn ten_at_once_with_one_key_write_one_text(database) {
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

    async fn at_the_limit_it_is_402_and_names_the_meter(database) {
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

    async fn what_is_no_prompt_is_refused_and_counts_nothing(database) {
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
