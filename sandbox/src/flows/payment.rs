//! Payments: payment methods, PaymentIntents, SetupIntents.
//!
//! Invariant: only [`confirm`] charges a payment method; it creates exactly one charge per attempt,
//! successful or failed.

use serde_json::{Value, json};

use crate::banks::{self, TestAccount};
use crate::cards::{self, Behavior, Decline, TestCard};
use crate::clock;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::dispute;
use crate::objects::{self, Customer, IntentStatus, PaymentIntent};
use crate::origins::HostedPage;
use crate::store::Tx;

/// Whether the cardholder is present during a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The cardholder is present and can complete 3-D Secure.
    OnSession,
    /// The cardholder has just completed 3-D Secure.
    Authenticated,
    /// The cardholder is not present: renewals and retries.
    OffSession,
}

impl Presence {
    /// Reads `off_session`.
    pub(crate) fn of(params: &Value) -> Self {
        if params.flag("off_session") { Self::OffSession } else { Self::OnSession }
    }
}

/// Returns the expiry of cards made from tokens such as `pm_card_visa`: three years from now.
fn token_expiry(now: i64) -> (i64, i64) {
    let year = time::OffsetDateTime::from_unix_timestamp(now).map_or(2030, |date| date.year());
    (12, i64::from(year) + 3)
}

/// Returns a payment method by id. Each use of a token, `pm_card_…` or `tok_…`, creates a new one.
pub(crate) fn method(tx: &mut Tx<'_>, id: &str, param: &str) -> Result<Value, ApiError> {
    if let Some(method) = tx.lookup("payment_method", id) {
        return Ok(method.clone());
    }
    let card = cards::by_token(id).ok_or_else(|| ApiError::missing_param("PaymentMethod", id, param))?;
    let expiry = token_expiry(tx.now());
    Ok(new_method(tx, card, expiry))
}

/// Returns a customer's payment method by id. A token such as `pm_card_visa` stands for the newest saved
/// card with its number, because Stripe remembers the card that a token was attached as.
pub(crate) fn of_customer(tx: &Tx<'_>, id: &str, customer: &str, param: &str) -> Result<Value, ApiError> {
    let number = cards::by_token(id).map(|card| card.number);
    let methods = tx.referring("payment_method", customer);
    let mut owned = methods.filter(|method| method.text("customer") == customer);
    let found = owned.find(|method| method.text("id") == id || number == Some(method.text("_number")));
    found.cloned().ok_or_else(|| {
        let message = "The customer does not have a payment method with that ID. The payment method must be attached to the customer.";
        ApiError::invalid("resource_missing", message).on(param)
    })
}

/// Stores a new, unattached card.
pub(crate) fn new_method(tx: &mut Tx<'_>, card: &TestCard, expiry: (i64, i64)) -> Value {
    let method = objects::card_method(card, expiry, tx.now());
    tx.put(method.clone());
    method
}

/// Stores a new, unattached bank account.
pub(crate) fn new_account(tx: &mut Tx<'_>, account: &TestAccount) -> Value {
    let method = objects::bank_method(account, tx.now());
    tx.put(method.clone());
    method
}

/// Stores a new, unattached payment method of a Link account, which holds a card that pays.
pub(crate) fn new_link(tx: &mut Tx<'_>, email: &str, kind: &str) -> Value {
    let now = tx.now();
    let method = objects::link_method(email, kind, &cards::CARDS[0], token_expiry(now), now);
    tx.put(method.clone());
    method
}

/// Returns the test card with a number, or Stripe's error for it.
pub(crate) fn card_of(number: &str, expiry: (i64, i64), now: i64) -> Result<&'static TestCard, ApiError> {
    let digits: String = number.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let plausible =
        (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && cards::luhn(&digits);
    if !plausible {
        return Err(ApiError::card("incorrect_number", None, "Your card number is incorrect.").on("number"));
    }
    let (month, year) = expiry;
    if !(1..=12).contains(&month) {
        return Err(
            ApiError::card("invalid_expiry_month", None, "Your card's expiration month is invalid.").on("exp_month")
        );
    }
    if clock::card_expired(year, month, now) {
        return Err(
            ApiError::card("invalid_expiry_year", None, "Your card's expiration year is invalid.").on("exp_year")
        );
    }
    cards::by_number(&digits).ok_or_else(|| {
        let message = "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test cards, visit: https://stripe.com/docs/testing.";
        ApiError::card("card_declined", Some("test_mode_live_card"), message).on("number")
    })
}

/// Attaches a payment method to a customer. Doing so again has no effect.
pub(crate) fn attach(tx: &mut Tx<'_>, method: &Value, customer: &str) -> Result<Value, ApiError> {
    match method.some("customer") {
        Some(owner) if owner == customer => return Ok(method.clone()),
        Some(_) => {
            let message = "The payment method you provided has already been attached to a customer.";
            return Err(ApiError::invalid("payment_method_unexpected_state", message));
        }
        None => {}
    }
    if let Some(decline) = cards::decline_on_save(cards::behavior(method)) {
        return Err(decline.error());
    }
    let id = method.text("id").to_owned();
    tx.quietly(&id, |method| method.set("customer", customer));
    let attached = tx.find("payment_method", &id)?;
    tx.emit("payment_method.attached", &attached, None);
    Ok(attached)
}

/// Returns a customer's default payment method.
pub(crate) fn default_method(tx: &Tx<'_>, customer: &str) -> Option<String> {
    tx.read::<Customer>(customer).ok()?.default_payment_method().map(str::to_owned)
}

/// Confirms a PaymentIntent with a payment method.
///
/// # Errors
/// A card error when the payment is declined; the failed charge and its events are committed.
pub(crate) fn confirm(
    tx: &mut Tx<'_>,
    intent: &PaymentIntent,
    method: &Value,
    presence: Presence,
) -> Result<PaymentIntent, ApiError> {
    let id = intent.id.as_str();
    let method_id = method.text("id");
    if let Some(decline) = requested_decline(tx, intent) {
        return Err(record_decline(tx, id, method, decline)?);
    }
    if banks::of(method).is_some() {
        return start_debit(tx, intent, method);
    }
    let behavior = cards::behavior(method);
    if let Some(decline) = cards::decline_on_charge(behavior) {
        return Err(record_decline(tx, id, method, decline)?);
    }
    let saved = method.flag("_authenticated");
    if presence != Presence::Authenticated && cards::requires_authentication(behavior, saved) {
        if presence == Presence::OffSession {
            return Err(record_decline(tx, id, method, cards::AUTHENTICATION_REQUIRED)?);
        }
        let url = format!("{}/authenticate/{id}", tx.origin.base);
        return tx.update(id, "payment_intent.requires_action", |intent: &mut PaymentIntent| {
            intent.require_action(method_id, &url);
        });
    }
    if presence == Presence::Authenticated {
        tx.quietly(method_id, |method| method.set("_authenticated", true));
    }
    let mut charge = objects::charge(intent, method, None, tx.now());
    charge.set("receipt_url", format!("{}/receipts/{}", HostedPage::Receipt.base(tx), charge.text("id")));
    tx.create("charge.succeeded", &charge);
    let paid = tx.update(id, "payment_intent.succeeded", |intent: &mut PaymentIntent| {
        intent.succeed();
        intent.payment_method = Some(method_id.to_owned());
        intent.latest_charge = Some(charge.text("id").to_owned());
    })?;
    if let Behavior::Disputed(complaint) = behavior {
        dispute::open(tx, charge.text("id"), complaint)?;
    }
    Ok(paid)
}

/// Starts a bank debit.
fn start_debit(tx: &mut Tx<'_>, intent: &PaymentIntent, method: &Value) -> Result<PaymentIntent, ApiError> {
    let now = tx.now();
    let mut charge = objects::charge(intent, method, None, now);
    charge.set("status", "pending");
    charge.set("paid", false);
    charge.set("receipt_url", format!("{}/receipts/{}", HostedPage::Receipt.base(tx), charge.text("id")));
    tx.create("charge.pending", &charge);
    tx.update(&intent.id, "payment_intent.processing", |intent: &mut PaymentIntent| {
        intent.process(method.text("id"), charge.text("id"), now + banks::SETTLES_AFTER);
    })
}

/// Returns the decline that was requested with a control, if any.
fn requested_decline(tx: &mut Tx<'_>, intent: &PaymentIntent) -> Option<Decline> {
    let customer = intent.customer.as_deref()?;
    if tx.read::<Customer>(customer).ok()?.decline_next == 0 {
        return None;
    }
    tx.update_quietly(customer, |customer: &mut Customer| customer.decline_next -= 1).ok()?;
    Some(cards::GENERIC)
}

/// Records a declined attempt and returns its error.
fn record_decline(tx: &mut Tx<'_>, id: &str, method: &Value, decline: Decline) -> Result<ApiError, ApiError> {
    let intent: PaymentIntent = tx.read(id)?;
    let reason = decline.decline_code.unwrap_or(decline.code);
    let failure = (decline.code, decline.message, reason);
    let charge = objects::charge(&intent, method, Some(failure), tx.now());
    tx.create("charge.failed", &charge);
    let error = decline.error().charged(charge.some("id"));
    let mut shown = error.fields();
    shown.set("payment_method", method.clone());
    tx.update(id, "payment_intent.payment_failed", |intent: &mut PaymentIntent| {
        intent.fail(shown);
        intent.latest_charge = Some(charge.text("id").to_owned());
    })?;
    Ok(error.of_intent(id))
}

/// Confirms a SetupIntent with a payment method, and attaches it to the customer.
pub(crate) fn confirm_setup(
    tx: &mut Tx<'_>,
    intent: &Value,
    method: &Value,
    presence: Presence,
) -> Result<Value, ApiError> {
    let id = intent.text("id").to_owned();
    let method_id = method.text("id").to_owned();
    let behavior = cards::behavior(method);
    if let Some(decline) = cards::decline_on_save(behavior) {
        let error = decline.error();
        let shown = error.fields();
        tx.change(&id, "setup_intent.setup_failed", |intent| {
            intent.set("last_setup_error", shown);
            intent.set("status", "requires_payment_method");
        })?;
        return Err(error.of_intent(&id));
    }
    let requires = cards::requires_authentication(behavior, method.flag("_authenticated"));
    if requires && presence != Presence::Authenticated {
        let base = tx.origin.base.clone();
        return tx.change(&id, "setup_intent.requires_action", |intent| {
            let back = intent.get("_return_url").cloned().unwrap_or_default();
            intent.set("status", "requires_action");
            intent.set("payment_method", method_id);
            intent.set(
                "next_action",
                json!({
                    "redirect_to_url": { "return_url": back, "url": format!("{base}/authenticate/{id}") },
                    "type": "redirect_to_url",
                }),
            );
        });
    }
    if presence == Presence::Authenticated {
        tx.quietly(&method_id, |method| method.set("_authenticated", true));
    }
    if let Some(customer) = intent.some("customer") {
        attach(tx, method, customer)?;
    }
    tx.change(&id, "setup_intent.succeeded", |intent| {
        intent.set("status", "succeeded");
        intent.set("payment_method", method_id);
        intent.set("next_action", Value::Null);
        intent.set("last_setup_error", Value::Null);
    })
}

/// Completes the 3-D Secure step of an intent. Returns the intent, or `None` for a SetupIntent.
///
/// # Errors
/// `payment_intent_unexpected_state` if the intent does not require it;
/// `payment_intent_authentication_failure` if the cardholder failed it, which is committed.
pub(crate) fn authenticate(tx: &mut Tx<'_>, id: &str, passed: bool) -> Result<Option<PaymentIntent>, ApiError> {
    let message = "This payment does not require authentication.";
    let unexpected = ApiError::invalid("payment_intent_unexpected_state", message);
    if let Some(setup) = tx.lookup("setup_intent", id).cloned() {
        return match setup.text("status") {
            "requires_action" => authenticate_setup(tx, &setup, passed).map(|()| None),
            _ => Err(unexpected),
        };
    }
    let intent: PaymentIntent = tx.read(id)?;
    if intent.status != IntentStatus::RequiresAction {
        return Err(unexpected);
    }
    if passed {
        let method = method(tx, intent.payment_method.as_deref().unwrap_or_default(), "payment_method")?;
        return confirm(tx, &intent, &method, Presence::Authenticated).map(Some);
    }
    let error = ApiError::card("payment_intent_authentication_failure", None, AUTHENTICATION_FAILED);
    let shown = error.fields();
    tx.update(id, "payment_intent.payment_failed", |intent: &mut PaymentIntent| intent.fail(shown))?;
    Err(error.of_intent(id))
}

/// Completes the 3-D Secure step of a SetupIntent.
fn authenticate_setup(tx: &mut Tx<'_>, intent: &Value, passed: bool) -> Result<(), ApiError> {
    if passed {
        let method = method(tx, intent.text("payment_method"), "payment_method")?;
        return confirm_setup(tx, intent, &method, Presence::Authenticated).map(|_| ());
    }
    let id = intent.text("id");
    let error = ApiError::card("setup_intent_authentication_failure", None, AUTHENTICATION_FAILED);
    let shown = error.fields();
    tx.change(id, "setup_intent.setup_failed", |intent| {
        intent.set("status", "requires_payment_method");
        intent.set("last_setup_error", shown);
        intent.set("payment_method", Value::Null);
        intent.set("next_action", Value::Null);
    })?;
    Err(error.of_intent(id))
}

/// Stripe's message when 3-D Secure fails.
pub(crate) const AUTHENTICATION_FAILED: &str =
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.";

/// Returns whether a payment method requires 3-D Secure.
pub(crate) fn requires_authentication(method: &Value) -> bool {
    cards::requires_authentication(cards::behavior(method), method.flag("_authenticated"))
}

/// Returns the decline when a payment method is charged or saved, if any.
pub(crate) fn decline_for(behavior: Behavior, charged: bool) -> Option<Decline> {
    match charged {
        true => cards::decline_on_charge(behavior),
        false => cards::decline_on_save(behavior),
    }
}
