//! A running sandbox and a client that talks to it over real HTTP.
#![allow(dead_code, reason = "each test file uses only a part")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use sandbox::{Config, Endpoint, Sandbox};
use serde_json::Value;

pub const KEY: &str = "sk_test_sandbox";
pub const SECRET: &str = "whsec_test";

/// Form parameters.
pub type Form<'a> = &'a [(&'a str, &'a str)];

/// A response: status, headers, JSON body.
pub struct ApiResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl ApiResponse {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub fn rejected(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        let error = self.body["error"].clone();
        assert_eq!(error["code"].as_str().unwrap_or_default(), code, "{error}");
        error
    }
}

pub struct World {
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
}

pub fn config() -> Config {
    Config { addr: ([127, 0, 0, 1], 0).into(), ..Config::development() }
}

impl World {
    pub async fn new() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: Config) -> Self {
        Self {
            sandbox: sandbox::start(config).await.expect("starts"),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .expect("a client"),
        }
    }

    pub async fn on(state: PathBuf) -> Self {
        Self::with(Config { state_path: Some(state), ..config() }).await
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.sandbox.url());
        self.http.request(method, url).bearer_auth(KEY)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> ApiResponse {
        let response = request.send().await.expect("a response");
        ApiResponse {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.json().await.expect("JSON"),
        }
    }

    pub async fn get(&self, path: &str) -> ApiResponse {
        self.send(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> ApiResponse {
        self.send(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, form: Form<'_>) -> ApiResponse {
        self.send(self.request("POST", path).header("content-type", FORM).body(encode(form))).await
    }

    pub async fn keyed(&self, key: &str, path: &str, form: Form<'_>) -> ApiResponse {
        let request = self.request("POST", path).header("content-type", FORM).body(encode(form));
        self.send(request.header("idempotency-key", key)).await
    }

    /// Creates a monthly price of $19 for a product called Pro.
    pub async fn monthly_price(&self) -> String {
        self.price("1900", Some("month")).await
    }

    pub async fn price(&self, amount: &str, interval: Option<&str>) -> String {
        let mut form = vec![("currency", "usd"), ("unit_amount", amount), ("product_data[name]", "Pro")];
        if let Some(interval) = interval {
            form.push(("recurring[interval]", interval));
        }
        id(&self.post("/v1/prices", &form).await.ok())
    }

    /// Creates a session for one unit of a price.
    pub async fn session(&self, mode: &str, price: &str, more: Form<'_>) -> Value {
        let mut form = vec![
            ("mode", mode),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "http://app.test/success?session_id={CHECKOUT_SESSION_ID}"),
            ("cancel_url", "http://app.test/billing"),
        ];
        form.extend(more);
        self.post("/v1/checkout/sessions", &form).await.ok()
    }

    /// Creates a customer with a default card.
    pub async fn customer_with(&self, card: &str) -> String {
        let customer = id(&self.post("/v1/customers", &[("email", "ada@example.com")]).await.ok());
        let method = self.post(&format!("/v1/payment_methods/{card}/attach"), &[("customer", &customer)]).await.ok();
        let default = [("invoice_settings[default_payment_method]", method["id"].as_str().expect("an id"))];
        self.post(&format!("/v1/customers/{customer}"), &default).await.ok();
        customer
    }

    /// Submits the Checkout page with a card.
    pub async fn pay(&self, session: &str, card: &str) -> Page {
        self.submit(
            session,
            &[
                ("number", card),
                ("expiry", "12/40"),
                ("cvc", "123"),
                ("name", "Ada Lovelace"),
                ("email", "ada@example.com"),
            ],
        )
        .await
    }

    pub async fn submit(&self, session: &str, form: Form<'_>) -> Page {
        self.page("POST", &format!("/c/pay/{session}"), form).await
    }

    pub async fn page(&self, method: &str, path: &str, form: Form<'_>) -> Page {
        let url = format!("{}{path}", self.sandbox.url());
        let request = self.http.request(method.parse().expect("a method"), url);
        let response = request.header("content-type", FORM).body(encode(form)).send().await.expect("a response");
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        let page = Page {
            status: response.status().as_u16(),
            location: location.unwrap_or_default().to_owned(),
            body: response.text().await.expect("text"),
        };
        assert!(!page.body.contains("\\n"), "an escape is visible: {}", page.body);
        page
    }

    pub async fn retrieve_session(&self, session: &str) -> Value {
        self.get(&format!("/v1/checkout/sessions/{session}")).await.ok()
    }

    /// Returns the types of all events, oldest first.
    pub async fn event_types(&self) -> Vec<String> {
        let mut types = Vec::new();
        let mut path = "/v1/events?limit=100".to_owned();
        loop {
            let list = self.get(&path).await.ok();
            types.extend(data(&list).iter().map(|event| text(event, "type")));
            if list["has_more"] == false {
                types.reverse();
                return types;
            }
            path = format!("/v1/events?limit=100&starting_after={}", id(data(&list).last().expect("an event")));
        }
    }

    /// Returns the types of all events after the first `mark`.
    pub async fn events_since(&self, mark: usize) -> Vec<String> {
        self.event_types().await.split_off(mark)
    }
}

pub struct Page {
    pub status: u16,
    pub location: String,
    pub body: String,
}

const FORM: &str = "application/x-www-form-urlencoded";

fn encode(form: Form<'_>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

pub fn id(object: &Value) -> String {
    text(object, "id")
}

#[track_caller]
pub fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}")).to_owned()
}

pub fn data(list: &Value) -> &[Value] {
    list["data"].as_array().expect("a list")
}

/// A webhook receiver that returns scripted statuses and records the requests.
#[derive(Clone, Default)]
pub struct Receiver {
    pub received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    /// Starts a receiver and returns it with its URL. It returns `statuses` first, then always 200.
    pub async fn start(statuses: &[u16]) -> (Self, String) {
        let receiver = Self::default();
        receiver.statuses.lock().expect("unpoisoned").extend(statuses);
        let router = axum::Router::new().fallback(Self::take).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: String) -> StatusCode {
        receiver.received.lock().expect("unpoisoned").push((headers, body));
        let status = receiver.statuses.lock().expect("unpoisoned").pop_front().unwrap_or(200);
        StatusCode::from_u16(status).expect("a status")
    }

    pub fn endpoint(url: &str) -> Endpoint {
        Endpoint { url: url.to_owned(), secret: SECRET.to_owned(), api_version: None }
    }

    pub fn events(&self) -> Vec<Value> {
        let received = self.received.lock().expect("unpoisoned");
        received.iter().map(|(_, body)| serde_json::from_str(body).expect("JSON")).collect()
    }

    pub fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| text(event, "type")).collect()
    }
}

/// Waits until all deliveries have settled. The timeout only keeps a broken test from hanging.
pub async fn settled(sandbox: &Sandbox) {
    let deadline = Duration::from_secs(120);
    tokio::time::timeout(deadline, sandbox.deliveries_settled()).await.expect("deliveries settle");
}
