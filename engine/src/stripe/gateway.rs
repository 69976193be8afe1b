//! Sending requests to Stripe: typed requests, lenient responses, a limited rate, timeouts and retries.
//!
//! Requests are async-stripe's, so that a misspelled parameter does not compile. Responses are read as
//! plain JSON by [`super::objects`]: a field or an enum value that Stripe adds tomorrow must not become
//! an error. The transport is ours rather than async-stripe's, whose error type would pull the parser of
//! every Stripe object into the binary. A retry repeats the same bytes with the same idempotency key
//! (docs/decisions/0003).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use billing::AccountId;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

use super::gateway_error::GatewayError;
use super::objects::{ObjectError, text};
use super::rate::Pacer;
use super::retry::{Advice, Failure};
use crate::settings::StripeSettings;

/// Stripe's own address.
const STRIPE: &str = "https://api.stripe.com";
/// The largest page that Stripe sends.
pub(super) const PAGE: i64 = 100;

/// The longest time between the creation of an object and the failure of its request, in seconds: requests can
/// be slow, and clocks differ.
pub(super) const UNCERTAINTY: i64 = 3600;

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Returns the API version of requests, and of the events to receive.
pub fn api_version() -> &'static str {
    stripe_client_core::VERSION.as_str()
}

/// A client for Stripe's API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    client: reqwest::Client,
    base: String,
    pacer: Option<Arc<Pacer>>,
    timeout: Duration,
    /// The portal's configuration, once it is known.
    pub(super) portal: Arc<OnceLock<String>>,
}

impl Gateway {
    /// Creates a client with these settings.
    ///
    /// # Errors
    /// If the key cannot be sent as a header.
    pub fn new(settings: &StripeSettings) -> Result<Self, GatewayError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.secret_key.expose_secret()))
            .map_err(|_| GatewayError::Request("the API key cannot be sent as a header".to_owned()))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (STRIPE_VERSION, HeaderValue::from_static(api_version())),
        ]);
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| GatewayError::Request(error.to_string()))?;
        let base = settings.api_base.as_ref().map_or(STRIPE, |base| base.as_str().trim_end_matches('/'));
        let pacer = settings.request_rate().map(|rate| Arc::new(Pacer::new(rate)));
        Ok(Self { client, base: base.to_owned(), pacer, timeout: settings.timeout, portal: Arc::default() })
    }

    /// Returns the API's address, without `/v1`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request until it succeeds, is rejected, or runs out of attempts.
    pub(super) async fn send<R: StripeRequest>(&self, request: &R, key: Option<&str>) -> Result<Value, GatewayError> {
        self.send_built(&request.build(), key).await
    }

    #[tracing::instrument(skip_all, fields(path = request.path, key))]
    async fn send_built(&self, request: &RequestBuilder, key: Option<&str>) -> Result<Value, GatewayError> {
        let form = request.body.as_deref().map(in_order);
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(pacer) = &self.pacer
                && !pacer.wait(self.timeout).await
            {
                return Err(GatewayError::Unavailable("too many other requests are waiting to be sent".to_owned()));
            }
            let failure = match self.attempt(request, form.as_deref(), key).await {
                Ok(json) => return Ok(json),
                Err(failure) => failure,
            };
            let Some(delay) = failure.delay(attempts) else { return Err(failure.error) };
            tracing::warn!(error = %failure.error, attempts, "Stripe did not respond; retrying");
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(&self, request: &RequestBuilder, form: Option<&str>, key: Option<&str>) -> Result<Value, Failure> {
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}/v1{}{query}", self.base, request.path);
        let mut sent = self.client.request(method(request.method), url);
        if let Some(form) = form {
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            sent = sent.header(CONTENT_TYPE, form_type).body(form.to_owned());
        }
        if let Some(key) = key {
            sent = sent.header(IDEMPOTENCY_KEY, key);
        }
        let response = sent.send().await.map_err(Failure::of_transport)?;
        let status = response.status();
        let advice = Advice::of(response.headers());
        let body = response.bytes().await.map_err(Failure::of_transport)?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match json {
            Some(json) if status.is_success() => Ok(json),
            json => Err(Failure { error: GatewayError::of_response(status.as_u16(), json.as_ref()), advice }),
        }
    }
}

/// Returns the fields of a form, sorted by name, so that every retry and every node sends the same bytes.
/// Otherwise the order of metadata would be random. Fields with the same name keep their order.
fn in_order(form: &str) -> String {
    let name = |field: &&str| field.split('=').next().unwrap_or_default().to_owned();
    let mut fields: Vec<&str> = form.split('&').collect();
    fields.sort_by_key(name);
    fields.join("&")
}

const fn method(method: StripeMethod) -> http::Method {
    match method {
        StripeMethod::Get => http::Method::GET,
        StripeMethod::Post => http::Method::POST,
        StripeMethod::Delete => http::Method::DELETE,
    }
}

/// A request that async-stripe has no type for.
#[derive(Debug)]
pub(super) struct Raw<'a, F> {
    pub(super) method: StripeMethod,
    pub(super) path: String,
    pub(super) form: Option<&'a F>,
}

impl<F: Serialize> StripeRequest for Raw<'_, F> {
    type Output = ();

    fn build(&self) -> RequestBuilder {
        let request = RequestBuilder::new(self.method, self.path.clone());
        match self.form {
            Some(form) => request.form(form),
            None => request,
        }
    }
}

/// One page of a list, and the position of the next.
#[derive(Debug)]
pub struct Listed<T> {
    /// The objects on it.
    pub data: Vec<T>,
    /// The id that the next page starts after; `None` on the last.
    pub next: Option<String>,
}

/// An object of a list that cannot be read.
#[derive(Debug)]
pub struct UnreadableObject {
    /// Its id; empty if even that is missing.
    pub id: String,
    /// The reason.
    pub error: GatewayError,
}

impl<T> Listed<T> {
    /// Reads all objects of a list.
    pub(super) fn read(list: &Value, read: impl Fn(&Value) -> Result<T, ObjectError>) -> Result<Self, ObjectError> {
        let page = Listed::read_each(list, read)?;
        Ok(Self { data: page.data.into_iter().map(|(_, read)| read).collect::<Result<_, _>>()?, next: page.next })
    }
}

impl<T> Listed<(String, Result<T, ObjectError>)> {
    /// Reads the objects of a list one by one, each with its id.
    pub(super) fn read_each(
        list: &Value,
        read: impl Fn(&Value) -> Result<T, ObjectError>,
    ) -> Result<Self, ObjectError> {
        let data = list.pointer("/data").and_then(Value::as_array);
        let data = data.ok_or(ObjectError { object: "list", field: "data" })?;
        let has_more = list.pointer("/has_more").and_then(Value::as_bool).unwrap_or(false);
        let id = |value: &Value| text(value, "/id").unwrap_or_default().to_owned();
        let next = data.last().map(id).filter(|id| has_more && !id.is_empty());
        Ok(Self { data: data.iter().map(|value| (id(value), read(value))).collect(), next })
    }
}

/// Returns the metadata of everything that we create in Stripe, so that it can be linked again.
pub(super) fn metadata(account: &AccountId) -> HashMap<String, String> {
    HashMap::from([("account_id".to_owned(), account.to_string())])
}
