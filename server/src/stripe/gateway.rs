//! Asking Stripe: typed requests, lenient answers, deadlines and retries.
//!
//! Requests are async-stripe's, so that a parameter that does not exist does not
//! compile. Answers are read as plain JSON by [`super::shape`]: a field or an enum
//! value that Stripe adds tomorrow must not become an error today. The library has
//! no deadline by default and never retries a request with a key of ours: both are
//! done here. A retry repeats the same request with the same idempotency key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use billing::{AccountId, CheckoutSessionId, CustomerId, Interval, Money, PriceId, SubscriptionId};
use miniserde::json::{Number as MiniNumber, Value as MiniValue};
use secrecy::ExposeSecret;
use serde_json::Value;
use stripe::{IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_billing::subscription::{ListSubscription, ListSubscriptionStatus, RetrieveSubscription};
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings, CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod as MissingPaymentMethod,
    ExpireCheckoutSession, RetrieveCheckoutSession,
};
use stripe_core::customer::CreateCustomer;
use stripe_product::price::{
    CreatePrice, CreatePriceProductData, CreatePriceRecurring, CreatePriceRecurringInterval, ListPrice,
};

use super::shape::{self, CheckoutSession, ShapeError, SubscriptionShape};
use crate::config::StripeConfig;

/// One attempt's deadline.
const TIMEOUT: Duration = Duration::from_secs(10);
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
}

/// What a subscription Checkout is made of. Everything in it is stored with the attempt, so
/// that a retry sends the same.
#[derive(Debug)]
pub struct SubscriptionCheckout<'a> {
    /// The idempotency key.
    pub attempt: &'a str,
    /// Who pays.
    pub customer: &'a CustomerId,
    /// Our account.
    pub account: &'a AccountId,
    /// What for.
    pub price: &'a PriceId,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Where Stripe sends people who paid; holds `{CHECKOUT_SESSION_ID}`.
    pub success_url: &'a str,
    /// Where Stripe sends people who thought better of it.
    pub cancel_url: &'a str,
}

impl Gateway {
    /// A connection with the configured key and base address.
    ///
    /// # Errors
    /// The key cannot be sent as a header.
    pub fn new(config: &StripeConfig) -> Result<Self, GatewayError> {
        let mut builder = stripe::ClientBuilder::new(config.secret_key.expose_secret())
            .timeout(TIMEOUT)
            .request_strategy(RequestStrategy::Once)
            .app_info("tollgate", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        if let Some(base) = &config.api_base {
            builder = builder.url(base.as_str());
        }
        let client = builder.build().map_err(|error| GatewayError::Request(error.to_string()))?;
        Ok(Self { client, price_ids: Arc::default() })
    }

    /// The customer of an account: made once, however often and from wherever it is asked for.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_customer(&self, account: &AccountId, email: &str) -> Result<CustomerId, GatewayError> {
        let request = CreateCustomer::new().email(email).metadata(metadata(account));
        let answer = self.send(&request, Some(&format!("customer:{account}"))).await?;
        shape::id_of(&answer, "/id")
            .map(CustomerId::new)
            .ok_or(GatewayError::Shape(ShapeError { object: "customer", field: "id" }))
    }

    /// Makes the Checkout Session of an attempt, or gives the one that was made for it.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_subscription_checkout(
        &self,
        checkout: &SubscriptionCheckout<'_>,
    ) -> Result<CheckoutSession, GatewayError> {
        let mut line = CreateCheckoutSessionLineItems::new();
        line.price = Some(checkout.price.to_string());
        line.quantity = Some(1);
        let mut subscription = CreateCheckoutSessionSubscriptionData::new();
        subscription.metadata = Some(metadata(checkout.account));
        if checkout.trial_days > 0 {
            subscription.trial_period_days = Some(checkout.trial_days);
            subscription.trial_settings = Some(CreateCheckoutSessionSubscriptionDataTrialSettings::new(
                CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(MissingPaymentMethod::Cancel),
            ));
        }
        let request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Subscription)
            .customer(checkout.customer.as_str())
            .client_reference_id(checkout.account.as_str())
            .line_items(vec![line])
            .subscription_data(subscription)
            .metadata(metadata(checkout.account))
            .success_url(checkout.success_url)
            .cancel_url(checkout.cancel_url);
        let answer = self.send(&request, Some(&format!("checkout:{}", checkout.attempt))).await?;
        Ok(shape::checkout_session(&answer)?)
    }

    /// A Checkout Session as it is now.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let answer = self.send(&RetrieveCheckoutSession::new(id.as_str()), None).await?;
        Ok(shape::checkout_session(&answer)?)
    }

    /// Closes a Checkout Session that nobody paid.
    ///
    /// # Errors
    /// See [`GatewayError`]; refused when it was paid or has run out.
    pub async fn expire_checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let answer = self.send(&ExpireCheckoutSession::new(id.as_str()), None).await?;
        Ok(shape::checkout_session(&answer)?)
    }

    /// A subscription as it is now, with its latest invoice.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<SubscriptionShape, GatewayError> {
        let request = RetrieveSubscription::new(id.as_str()).expand(vec!["latest_invoice".to_owned()]);
        let answer = self.send(&request, None).await?;
        Ok(shape::subscription(&answer)?)
    }

    /// All subscriptions of a customer, ended ones too, page by page.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscriptions_of(&self, customer: &CustomerId) -> Result<Vec<SubscriptionShape>, GatewayError> {
        let mut all: Vec<SubscriptionShape> = Vec::new();
        loop {
            let mut request = ListSubscription::new()
                .customer(customer.as_str())
                .status(ListSubscriptionStatus::All)
                .limit(100)
                .expand(vec!["data.latest_invoice".to_owned()]);
            if let Some(last) = all.last() {
                request = request.starting_after(last.subscription.id.as_str());
            }
            let page = self.send(&request, None).await?;
            let data =
                page.pointer("/data").and_then(Value::as_array).ok_or(ShapeError { object: "list", field: "data" })?;
            for subscription in data {
                all.push(shape::subscription(subscription)?);
            }
            let more = page.pointer("/has_more").and_then(Value::as_bool).unwrap_or(false);
            if !more || data.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The id of the active price with this lookup key; asked once, then remembered.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn price_by_lookup_key(&self, key: &str) -> Result<PriceId, GatewayError> {
        if let Some(id) = self.price_ids.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(id.clone());
        }
        let id = self.find_price(key).await?.ok_or_else(|| GatewayError::NoSuchPrice(key.to_owned()))?;
        self.price_ids.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), id.clone());
        Ok(id)
    }

    /// The id of the active price with this lookup key, as Stripe has it now.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn find_price(&self, key: &str) -> Result<Option<PriceId>, GatewayError> {
        let request = ListPrice::new().lookup_keys(vec![key.to_owned()]).active(true).limit(1);
        let page = self.send(&request, None).await?;
        Ok(shape::id_of(&page, "/data/0/id").map(PriceId::new))
    }

    /// Makes a price, and its product, with this lookup key.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_price(
        &self,
        name: &str,
        lookup_key: &str,
        amount: &Money,
        interval: Option<Interval>,
    ) -> Result<PriceId, GatewayError> {
        // A currency that the library does not know is passed on as it is: Stripe says no by itself.
        let Ok(currency) = amount.currency.as_str().parse::<stripe_types::Currency>();
        let mut request = CreatePrice::new(currency)
            .unit_amount(amount.minor)
            .lookup_key(lookup_key)
            .product_data(CreatePriceProductData::new(name));
        if let Some(interval) = interval {
            request = request.recurring(CreatePriceRecurring::new(match interval {
                Interval::Month => CreatePriceRecurringInterval::Month,
                Interval::Year => CreatePriceRecurringInterval::Year,
            }));
        }
        let answer = self.send(&request, None).await?;
        shape::id_of(&answer, "/id")
            .map(PriceId::new)
            .ok_or(GatewayError::Shape(ShapeError { object: "price", field: "id" }))
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

/// What we put on everything we make at Stripe, so that it can be linked again.
fn metadata(account: &AccountId) -> HashMap<String, String> {
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
