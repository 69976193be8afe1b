//! Asking Stripe: typed requests, lenient answers, deadlines and retries. What is asked of which
//! resource stands in the files beside this one.
//!
//! Requests are async-stripe's, so that a parameter that does not exist does not
//! compile. Answers are read as plain JSON by [`super::shape`]: a field or an enum
//! value that Stripe adds tomorrow must not become an error today. The library has
//! no deadline by default and never retries a request with a key of ours: both are
//! done here. A retry repeats the same request with the same idempotency key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use billing::{AccountId, PriceId};
use miniserde::json::{Number as MiniNumber, Value as MiniValue};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use stripe::{IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::shape::{ShapeError, text};
use crate::config::StripeConfig;

/// How often a request that may succeed on another try is sent in all.
const TRIES: u32 = 4;

/// Why Stripe gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Stripe understood and said no; asking again the same way will not help.
    #[error("Stripe refused ({status}{}): {message}", code.as_deref().map(|code| format!(", {code}")).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stripe's error code.
        code: Option<String>,
        /// Stripe's sentence. For logs.
        message: String,
    },
    /// No answer, too late an answer, or one that says "later": asking again may help.
    #[error("Stripe is unavailable: {0}")]
    Unavailable(String),
    /// An answer that lacks what it must have.
    #[error("Stripe's answer is not usable: {0}")]
    Shape(#[from] ShapeError),
    /// The request could not be made at all.
    #[error("request to Stripe: {0}")]
    Request(String),
    /// The catalogue names a price that Stripe does not have.
    #[error("no active price at Stripe with lookup key `{0}`: run `tollgate catalog apply` or set its id")]
    NoSuchPrice(String),
}

impl GatewayError {
    /// Whether Stripe says that there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether another object might be had where this one was not.
    pub const fn is_about_one_object(&self) -> bool {
        match self {
            // The key is not taken, or may not do such a thing.
            Self::Refused { status, .. } => !matches!(status, 401 | 403),
            Self::Shape(_) | Self::NoSuchPrice(_) => true,
            Self::Unavailable(_) | Self::Request(_) => false,
        }
    }

    /// Whether Stripe gave a final answer to this very request.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoSuchPrice(_))
    }
}

/// A connection to Stripe. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    client: stripe::Client,
    price_ids: Arc<Mutex<HashMap<String, PriceId>>>,
    /// The portal's configuration, once it is known.
    pub(super) portal: Arc<OnceLock<String>>,
}

impl Gateway {
    /// A connection with the configured key and base address.
    ///
    /// # Errors
    /// The key cannot be sent as a header.
    pub fn new(config: &StripeConfig) -> Result<Self, GatewayError> {
        let mut builder = stripe::ClientBuilder::new(config.secret_key.expose_secret())
            .timeout(config.patience)
            .request_strategy(RequestStrategy::Once)
            .app_info("tollgate", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        if let Some(base) = &config.api_base {
            builder = builder.url(base.as_str());
        }
        let client = builder.build().map_err(|error| GatewayError::Request(error.to_string()))?;
        Ok(Self { client, price_ids: Arc::default(), portal: Arc::default() })
    }

    /// The id that was found for a lookup key before.
    pub(super) fn known_price(&self, key: &str) -> Option<PriceId> {
        self.price_ids.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers the id of a lookup key; `None` forgets it.
    pub(super) fn remember_price(&self, key: &str, id: Option<&PriceId>) {
        let mut known = self.price_ids.lock().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => known.insert(key.to_owned(), id.clone()),
            None => known.remove(key),
        };
    }

    /// Sends a request until it is answered, refused, or out of tries.
    #[tracing::instrument(skip_all, fields(key))]
    pub(super) async fn send<R: StripeRequest>(&self, request: &R, key: Option<&str>) -> Result<Value, GatewayError> {
        let strategy = match key {
            None => RequestStrategy::Once,
            Some(key) => RequestStrategy::Idempotent(
                IdempotencyKey::new(key).map_err(|error| GatewayError::Request(error.to_string()))?,
            ),
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = request.build().customize::<MiniValue>().request_strategy(strategy.clone()).send(&self.client);
            let error = match sent.await {
                Ok(value) => return Ok(from_mini(value)),
                Err(error) => GatewayError::from(error),
            };
            if tries == TRIES || !matches!(error, GatewayError::Unavailable(_)) {
                return Err(error);
            }
            tracing::warn!(%error, tries, "Stripe did not answer; asking again");
            tokio::time::sleep(Duration::from_millis(100 << (2 * (tries - 1)))).await;
        }
    }
}

impl From<StripeError> for GatewayError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(error, status) => {
                let message = error.message.unwrap_or_default();
                match status {
                    // 409 here is a request with the same key that is still under way.
                    409 | 424 | 429 | 500.. => Self::Unavailable(format!("status {status}: {message}")),
                    _ => Self::Refused { status, code: error.code.map(|code| code.to_string()), message },
                }
            }
            StripeError::JSONDeserialize(what) => Self::Unavailable(what),
            StripeError::ClientError(what) => Self::Unavailable(what),
            StripeError::ConfigError(what) => Self::Request(what),
            StripeError::Timeout => Self::Unavailable("no answer in time".to_owned()),
        }
    }
}

/// A request that async-stripe's split crates have no type for here.
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

/// One page of a list and where the next begins.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// The id that the next page starts after; `None` on the last.
    pub next: Option<String>,
}

/// One of a list that is not to be understood, where the others are.
#[derive(Debug)]
pub struct Unread {
    /// Its id; empty when not even that is there.
    pub id: String,
    /// Why.
    pub error: GatewayError,
}

impl<T> Page<T> {
    /// Reads a list of Stripe's, all of it.
    pub(super) fn read(list: &Value, read: impl Fn(&Value) -> Result<T, ShapeError>) -> Result<Self, ShapeError> {
        let page = Page::read_each(list, read)?;
        Ok(Self { data: page.data.into_iter().map(|(_, read)| read).collect::<Result<_, _>>()?, next: page.next })
    }
}

impl<T> Page<(String, Result<T, ShapeError>)> {
    /// Reads what can be read of a list of Stripe's, with the id of each.
    pub(super) fn read_each(list: &Value, read: impl Fn(&Value) -> Result<T, ShapeError>) -> Result<Self, ShapeError> {
        let data = list.pointer("/data").and_then(Value::as_array);
        let data = data.ok_or(ShapeError { object: "list", field: "data" })?;
        let more = list.pointer("/has_more").and_then(Value::as_bool).unwrap_or(false);
        let id = |value: &Value| text(value, "/id").unwrap_or_default().to_owned();
        let next = data.last().map(id).filter(|id| more && !id.is_empty());
        Ok(Self { data: data.iter().map(|value| (id(value), read(value))).collect(), next })
    }
}

/// What we put on everything we make at Stripe, so that it can be linked again.
pub(super) fn metadata(account: &AccountId) -> HashMap<String, String> {
    HashMap::from([("account_id".to_owned(), account.to_string())])
}

/// The library's JSON as everybody's JSON.
fn from_mini(value: MiniValue) -> Value {
    match value {
        MiniValue::Null => Value::Null,
        MiniValue::Bool(bool) => Value::Bool(bool),
        MiniValue::Number(MiniNumber::U64(number)) => number.into(),
        MiniValue::Number(MiniNumber::I64(number)) => number.into(),
        MiniValue::Number(MiniNumber::F64(number)) => number.into(),
        MiniValue::String(text) => Value::String(text),
        MiniValue::Array(array) => array.into_iter().map(from_mini).collect(),
        MiniValue::Object(object) => object.into_iter().map(|(key, value)| (key, from_mini(value))).collect(),
    }
}
