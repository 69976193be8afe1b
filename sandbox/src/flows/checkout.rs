//! Checkout Sessions: created by the API, completed on the hosted page, or expired.
//!
//! Invariant: a session leaves `open` once. Its payment or subscription is created in the transaction
//! that completes it, so a second submission finds it closed. Proved by
//! `two_simultaneous_submits_create_one_subscription`.

use serde_json::{Value, json};

use crate::banks;
use crate::cards;
use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::{Fields, copy};
use crate::flows::currency;
use crate::flows::invoice::{self, Bill, IfDeclined};
use crate::flows::payment::{self, Presence};
use crate::flows::subscription::{self, NewSubscription};
use crate::flows::terms::{self, IfUnpaid};
use crate::objects::{
    self, BillingReason, CheckoutSession, Customer, CustomerCreation, CustomerDetails, IntentStatus, Invoice,
    InvoiceCreation, InvoiceLine, MethodCollection, Object, PaymentIntent, PaymentStatus, PendingForm, Price,
    SessionItem, SessionMode, SessionParams, SessionStatus,
};
use crate::origins::HostedPage;
use crate::settings::Settings;
use crate::store::Tx;

/// Creates a session.
pub(crate) fn open(tx: &mut Tx<'_>, params: &Value) -> Result<CheckoutSession, ApiError> {
    let now = tx.now();
    check_combination(params)?;
    let mode = params.some("mode").map_or(Ok(SessionMode::Payment), str::parse)?;
    let subscribes = mode == SessionMode::Subscription;
    for key in ["success_url", "cancel_url"] {
        if let Some(url) = params.some(key)
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(ApiError::invalid("url_invalid", "Not a valid URL").on(key));
        }
    }
    if let Some(customer) = params.some("customer") {
        tx.customer(customer)?;
    }
    let items = session_items(tx, params, subscribes)?;
    let currency = one_currency(&items, params)?;
    if let (true, Some(customer)) = (subscribes, params.some("customer")) {
        currency::check(tx, customer, &currency)?;
    }
    let trial_end = trial_end(&params["subscription_data"], now)?;

    let mut session = CheckoutSession::new(now);
    session.apply(params);
    session.mode = mode;
    session.payment_method_types = method_types(tx, params, &currency)?;
    session.currency = currency;
    session.customer = params.some("customer").map(str::to_owned);
    if let Some(expires_at) = params.some_int("expires_at") {
        check_expiry(expires_at, now)?;
        session.expires_at = expires_at;
    }
    let creation = match subscribes {
        true => CustomerCreation::Always,
        false => params.some("customer_creation").map_or(Ok(CustomerCreation::IfRequired), str::parse)?,
    };
    session.customer_creation = params.get("customer").is_none().then_some(creation);
    if subscribes {
        if let Some(collection) = params.some("payment_method_collection") {
            session.payment_method_collection = collection.parse()?;
        }
    } else {
        session.payment_method_collection = MethodCollection::IfRequired;
        session.invoice_creation = Some(InvoiceCreation::new(&params["invoice_creation"]));
    }
    let once = items.iter().filter(|item| item.is_one_time() || !subscribes || trial_end.is_none());
    let due = once.map(|item| item.amount_total).sum();
    session.set_items(items, due);
    session.url = Some(format!("{}/c/pay/{}", HostedPage::Checkout.base(tx), session.id));
    session.params = SessionParams {
        customer_update: params["customer_update"].clone(),
        payment_intent_data: params["payment_intent_data"].clone(),
        subscription_data: params["subscription_data"].clone(),
    };
    tx.put(session.to_json()?);
    Ok(session)
}

/// Returns the accepted types of payment methods. By default, the bank debit of the currency is accepted
/// too, as it would be if enabled in the Dashboard, and Link by the account's settings.
fn method_types(tx: &Tx<'_>, params: &Value, currency: &str) -> Result<Vec<String>, ApiError> {
    let debit = banks::kind_for(currency);
    let sent = params.list("payment_method_types");
    if sent.is_empty() {
        let link = Settings::current(tx).link.then_some("link");
        let offered = Some("card").into_iter().chain(debit).chain(link);
        return Ok(offered.map(str::to_owned).collect());
    }
    for kind in sent.iter().filter_map(Value::as_str).filter(|kind| !matches!(*kind, "card" | "link")) {
        if debit != Some(kind) {
            let message = format!("The payment method `{kind}` cannot be used with the currency `{currency}`.");
            return Err(ApiError::invalid("", message).on("payment_method_types"));
        }
    }
    Ok(sent.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Checks parameters that require or exclude each other.
fn check_combination(params: &Value) -> Result<(), ApiError> {
    let sent = |key: &str| params.get(key).is_some();
    let missing = |key: &str| ApiError::invalid("parameter_missing", format!("Missing required param: {key}.")).on(key);
    let subscribes = params.text("mode") == "subscription";
    if !sent("success_url") {
        return Err(missing("success_url"));
    }
    if params.list("line_items").is_empty() {
        return Err(missing("line_items"));
    }
    if sent("customer") && sent("customer_email") {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::invalid("", message).on("customer"));
    }
    if sent("customer") && sent("customer_creation") {
        let message = "You may only specify one of these parameters: customer, customer_creation.";
        return Err(ApiError::invalid("", message).on("customer_creation"));
    }
    if sent("customer_update") && !sent("customer") {
        let message = "`customer_update` can only be used with `customer`.";
        return Err(ApiError::invalid("", message).on("customer_update"));
    }
    let wrong_mode: &[&str] = match subscribes {
        true => &["payment_intent_data", "customer_creation", "invoice_creation"],
        false => &["subscription_data"],
    };
    if let Some(key) = wrong_mode.iter().find(|key| sent(key)) {
        let mode = if subscribes { "subscription" } else { "payment" };
        let message = format!("You can not pass `{key}` in `{mode}` mode.");
        return Err(ApiError::invalid("", message).on(key));
    }
    if !subscribes && params.text("payment_method_collection") == "if_required" {
        let message = "You can only set `payment_method_collection` if there are recurring prices.";
        return Err(ApiError::invalid("", message).on("payment_method_collection"));
    }
    Ok(())
}

fn check_expiry(expires_at: i64, now: i64) -> Result<(), ApiError> {
    let message = match expires_at - now {
        // Allows ten seconds for the request to arrive.
        ..1_790 => "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        86_411.. => "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        _ => return Ok(()),
    };
    Err(ApiError::invalid("", message).on("expires_at"))
}

/// Returns the end of the requested trial, if any.
fn trial_end(data: &Value, now: i64) -> Result<Option<i64>, ApiError> {
    let (days, end) = (data.some_int("trial_period_days"), data.some_int("trial_end"));
    match (days, end) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: trial_period_days, trial_end.";
            Err(ApiError::invalid("", message).on("subscription_data[trial_end]"))
        }
        (Some(days), None) if !(1..=730).contains(&days) => {
            let message = match days {
                ..1 => "The minimum number of trial period days is 1.",
                _ => "Invalid trial_period_days: the maximum number of trial period days is 730 (2 years).",
            };
            Err(ApiError::invalid("", message).on("subscription_data[trial_period_days]"))
        }
        (None, Some(end)) if end < now + 2 * DAY => {
            let message = "The `trial_end` date has to be at least 2 days in the future.";
            Err(ApiError::invalid("", message).on("subscription_data[trial_end]"))
        }
        (Some(days), None) => Ok(Some(now + days * DAY)),
        (None, end) => Ok(end),
    }
}

fn session_items(tx: &mut Tx<'_>, params: &Value, subscribes: bool) -> Result<Vec<SessionItem>, ApiError> {
    let mut items = Vec::new();
    for (index, sent) in params.list("line_items").iter().enumerate() {
        let param = |name: &str| format!("line_items[{index}][{name}]");
        let price = match (sent.some("price"), sent.get("price_data")) {
            (Some(id), _) => {
                let price: Price = tx.read_param(id, &param("price"))?;
                if !price.active {
                    let message = "The price specified is inactive. This field only accepts active prices.";
                    return Err(ApiError::invalid("", message).on(&param("price")));
                }
                price
            }
            (None, Some(data)) => ad_hoc_price(tx, data, &param("price_data"))?,
            (None, None) => {
                let message = format!("Missing required param: {}.", param("price"));
                return Err(ApiError::invalid("parameter_missing", message).on(&param("price")));
            }
        };
        if !subscribes && price.recurring.is_some() {
            let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.";
            return Err(ApiError::invalid("", message).on(&param("price")));
        }
        let metered = price.is_metered();
        if metered && sent.get("quantity").is_some() {
            let message = "Quantity should not be specified where usage_type is `metered`.";
            return Err(ApiError::invalid("", message).on(&param("quantity")));
        }
        let quantity = sent.some_int("quantity").or(metered.then_some(1)).ok_or_else(|| {
            let message = format!("Missing required param: {}.", param("quantity"));
            ApiError::invalid("parameter_missing", message).on(&param("quantity"))
        })?;
        if quantity < 1 {
            let message = format!("This value must be greater than or equal to 1 (it currently is '{quantity}').");
            return Err(ApiError::invalid("parameter_invalid_integer", message).on(&param("quantity")));
        }
        let product = terms::name_of(tx, &price.product);
        items.push(SessionItem::new(price, (!metered).then_some(quantity), product, sent));
    }
    if subscribes {
        let recurring = items.iter().map(|item| &item.price).filter(|price| price.recurring.is_some());
        if recurring.clone().next().is_none() {
            let message = "You must provide at least one recurring price in `subscription` mode when using prices.";
            return Err(ApiError::invalid("", message).on("line_items"));
        }
        terms::consistent_intervals(recurring)?;
    }
    Ok(items)
}

/// Creates a price from `price_data`; it is inactive, as in Stripe.
fn ad_hoc_price(tx: &mut Tx<'_>, data: &Value, param: &str) -> Result<Price, ApiError> {
    let product = match (data.some("product"), data.get("product_data")) {
        (Some(id), _) => tx.named("product", id, &format!("{param}[product]"))?.text("id").to_owned(),
        (None, Some(data)) => {
            let mut product = objects::product(data, tx.now());
            copy(&mut product, data, &["description", "images", "tax_code", "unit_label"]);
            product.set("active", false);
            tx.create("product.created", &product);
            product.text("id").to_owned()
        }
        (None, None) => {
            let param = format!("{param}[product]");
            let message = format!("Missing required param: {param}.");
            return Err(ApiError::invalid("parameter_missing", message).on(&param));
        }
    };
    let amount = terms::amount_of(data, param)?;
    let mut price = Price::new(data, &product, amount, tx.now());
    price.active = false;
    tx.insert("price.created", &price)?;
    Ok(price)
}

fn one_currency(items: &[SessionItem], params: &Value) -> Result<String, ApiError> {
    let first = items.first().map_or("usd", |item| item.currency.as_str());
    let expected = params.some("currency").unwrap_or(first);
    match items.iter().find(|item| item.currency != expected) {
        None => Ok(expected.to_owned()),
        Some(item) => {
            let message = format!(
                "The price specified only supports `{}`. This doesn't match the expected currency: `{expected}`.",
                item.currency
            );
            Err(ApiError::invalid("", message).on("line_items"))
        }
    }
}

/// The payer's details from the form.
#[derive(Clone, Debug)]
pub(crate) struct Payer {
    pub(crate) email: String,
    pub(crate) name: String,
}

/// Returns the end of the trial if the session is completed now.
pub(crate) fn trial_end_of(session: &CheckoutSession, now: i64) -> Option<i64> {
    let data = &session.params.subscription_data;
    let days = data.some_int("trial_period_days").map(|days| now + days * DAY);
    days.or(data.some_int("trial_end")).filter(|end| *end > now)
}

/// Returns whether completing the session requires a payment method.
pub(crate) fn needs_card(session: &CheckoutSession) -> bool {
    session.amount_total > 0 || (session.subscribes() && session.payment_method_collection == MethodCollection::Always)
}

/// The result of a submitted form.
#[derive(Debug)]
pub(crate) enum Submitted {
    Complete(Box<CheckoutSession>),
    /// The cardholder must complete 3-D Secure first.
    Authenticate,
}

/// Submits the form of the page: completes the session, unless the card requires 3-D Secure.
pub(crate) fn submit(tx: &mut Tx<'_>, id: &str, payer: &Payer, method: Option<&Value>) -> Result<Submitted, ApiError> {
    let session: CheckoutSession = tx.read(id)?;
    if let Some(method) = method
        && !session.accepts(method.text("type"))
    {
        let message =
            format!("This Checkout Session does not accept payment methods of type `{}`.", method.text("type"));
        return Err(ApiError::invalid("", message).on("payment_method"));
    }
    let authenticates = method.filter(|method| payment::requires_authentication(method));
    let Some(method) = authenticates else {
        let session = complete(tx, id, payer, method, Presence::OnSession)?;
        return Ok(Submitted::Complete(Box::new(session)));
    };
    let pending =
        PendingForm { email: payer.email.clone(), method: method.text("id").to_owned(), name: payer.name.clone() };
    tx.update_quietly(id, |session: &mut CheckoutSession| session.pending = Some(pending))?;
    Ok(Submitted::Authenticate)
}

/// Completes the 3-D Secure step of a submitted card.
///
/// # Errors
/// Those of [`complete`], and a card error if the cardholder failed the step.
pub(crate) fn authenticated(tx: &mut Tx<'_>, id: &str, passed: bool) -> Result<CheckoutSession, ApiError> {
    let pending = tx.read::<CheckoutSession>(id)?.pending.unwrap_or_default();
    let method = tx.find("payment_method", &pending.method)?;
    tx.update_quietly(id, |session: &mut CheckoutSession| session.pending = None)?;
    if !passed {
        let message = payment::AUTHENTICATION_FAILED;
        return Err(ApiError::card("payment_intent_authentication_failure", None, message));
    }
    let payer = Payer { email: pending.email, name: pending.name };
    complete(tx, id, &payer, Some(&method), Presence::Authenticated)
}

/// The objects that a completed session has created.
#[derive(Debug, Default)]
struct Created {
    customer: Option<String>,
    invoice: Option<String>,
    payment_intent: Option<String>,
    subscription: Option<String>,
}

/// Completes an open session: charges or saves the card, and creates the subscription if it sells one.
/// If the card is declined, the session stays open.
pub(crate) fn complete(
    tx: &mut Tx<'_>,
    id: &str,
    payer: &Payer,
    method: Option<&Value>,
    presence: Presence,
) -> Result<CheckoutSession, ApiError> {
    let session: CheckoutSession = tx.read(id)?;
    if session.status != SessionStatus::Open {
        return Err(ApiError::invalid("", "This Checkout Session is no longer open."));
    }
    let charged = session.amount_total > 0;
    if let Some(method) = method {
        let billing = json!({ "email": payer.email, "name": payer.name });
        tx.quietly(method.text("id"), |method| {
            // A Link account has its own.
            if !objects::is_link(method) {
                copy(&mut method["billing_details"], &billing, &["email", "name"]);
            }
            method.set("allow_redisplay", "limited");
        });
        if let Some(decline) = payment::decline_for(cards::behavior(method), charged)
            && (session.subscribes() || !charged)
        {
            return Err(decline.error());
        }
    }
    let created = match session.mode {
        SessionMode::Subscription => subscribe(tx, &session, payer, method, presence)?,
        SessionMode::Payment => buy(tx, &session, payer, method, presence)?,
    };
    // A bank debit takes days.
    let intent = created.payment_intent.as_ref().map(|id| tx.read::<PaymentIntent>(id)).transpose()?;
    let invoice = created.invoice.as_ref().map(|id| tx.read::<Invoice>(id)).transpose()?;
    let processing = intent.is_some_and(|intent| intent.status == IntentStatus::Processing)
        || invoice.is_some_and(|invoice| invoice.debited);
    let payment_status = match charged {
        false => PaymentStatus::NoPaymentRequired,
        true if processing => PaymentStatus::Unpaid,
        true => PaymentStatus::Paid,
    };
    let session = tx.update_quietly(id, |session: &mut CheckoutSession| {
        session.status = SessionStatus::Complete;
        session.payment_status = payment_status;
        session.url = None;
        session.pending = None;
        session.customer_details = Some(CustomerDetails::new(&payer.email, &payer.name));
        session.customer = created.customer;
        session.invoice = created.invoice;
        session.payment_intent = created.payment_intent;
        session.subscription = created.subscription;
    })?;
    tx.emit("checkout.session.completed", &session.to_json()?, None);
    Ok(session)
}

/// Returns the customer of the session, created if necessary.
fn payer_of(tx: &mut Tx<'_>, session: &CheckoutSession, payer: &Payer) -> Result<Customer, ApiError> {
    if let Some(id) = session.customer.as_ref().or(session.attempted_customer.as_ref()) {
        let customer = tx.customer(id)?;
        let lacks_email = customer.email.is_none();
        let names = session.params.customer_update.text("name") == "auto";
        if lacks_email || names {
            return tx.update(id, "customer.updated", |customer: &mut Customer| {
                if lacks_email {
                    customer.email = Some(payer.email.clone());
                }
                if names {
                    customer.name = Some(payer.name.clone());
                }
            });
        }
        return Ok(customer);
    }
    let mut customer = Customer::new(tx.now());
    customer.email = Some(payer.email.clone());
    customer.name = Some(payer.name.clone()).filter(|name| !name.is_empty());
    tx.insert("customer.created", &customer)?;
    // After a declined card, the next attempt uses the same customer.
    tx.update_quietly(&session.id, |session: &mut CheckoutSession| {
        session.attempted_customer = Some(customer.id.clone());
    })?;
    Ok(customer)
}

fn subscribe(
    tx: &mut Tx<'_>,
    session: &CheckoutSession,
    payer: &Payer,
    method: Option<&Value>,
    presence: Presence,
) -> Result<Created, ApiError> {
    let customer = payer_of(tx, session, payer)?;
    let mut saved = None;
    if let Some(method) = method {
        let method = tx.find("payment_method", method.text("id"))?;
        let method = payment::attach(tx, &method, &customer.id)?;
        if presence == Presence::Authenticated {
            tx.quietly(method.text("id"), |method| method.set("_authenticated", true));
        }
        saved = Some(method.text("id").to_owned());
    }
    let (mut recurring, mut once) = (Vec::new(), Vec::new());
    for item in session.items() {
        let price = item.price.clone();
        match item.is_one_time() {
            true => once.push((price, item.quantity.unwrap_or_default())),
            false => recurring.push((price, item.quantity, json!({ "metadata": item.metadata }))),
        }
    }
    let made = subscription::create(
        tx,
        &NewSubscription {
            customer: &customer,
            items: recurring,
            once,
            trial_end: trial_end_of(session, tx.now()),
            params: &session.params.subscription_data,
            default_payment_method: saved.as_deref(),
            if_unpaid: IfUnpaid::Fail,
            presence,
        },
    )?;
    Ok(Created {
        customer: Some(customer.id),
        invoice: made.latest_invoice,
        payment_intent: None,
        subscription: Some(made.id),
    })
}

fn buy(
    tx: &mut Tx<'_>,
    session: &CheckoutSession,
    payer: &Payer,
    method: Option<&Value>,
    presence: Presence,
) -> Result<Created, ApiError> {
    let wants_invoice = session.invoice_creation.as_ref().is_some_and(|creation| creation.enabled);
    let data = &session.params.payment_intent_data;
    let saves = data.some("setup_future_usage").is_some();
    let makes_customer = session.customer_creation == Some(CustomerCreation::Always) || wants_invoice || saves;
    let customer = match session.customer.is_some() || makes_customer {
        true => Some(payer_of(tx, session, payer)?),
        false => None,
    };
    let mut created = Created { customer: customer.as_ref().map(|customer| customer.id.clone()), ..Created::default() };
    let Some(method) = method.filter(|_| session.amount_total > 0) else {
        return Ok(created);
    };
    let method = tx.find("payment_method", method.text("id"))?;
    match (wants_invoice, &customer) {
        (true, Some(customer)) => {
            let invoice = invoice_for(tx, session, customer)?;
            invoice::pay(tx, &invoice.id, &method, presence, IfDeclined::Leave)?;
            tx.update_quietly(invoice.intent(), |intent: &mut PaymentIntent| intent.describe(data))?;
            created.payment_intent = invoice.payment_intent;
            created.invoice = Some(invoice.id);
        }
        _ => {
            let intent = intent_for(tx, session, customer.as_ref(), data)?;
            payment::confirm(tx, &intent, &method, presence)?;
            created.payment_intent = Some(intent.id);
        }
    }
    if let Some(customer) = customer.filter(|_| saves) {
        let method = tx.find("payment_method", method.text("id"))?;
        payment::attach(tx, &method, &customer.id)?;
    }
    Ok(created)
}

/// Returns the PaymentIntent of the session, created for the first attempt.
fn intent_for(
    tx: &mut Tx<'_>,
    session: &CheckoutSession,
    customer: Option<&Customer>,
    data: &Value,
) -> Result<PaymentIntent, ApiError> {
    if let Some(known) = &session.attempted_intent {
        return tx.read(known);
    }
    let customer = customer.map(|customer| customer.id.as_str());
    let mut intent = PaymentIntent::new(session.amount_total, &session.currency, customer, tx.now());
    intent.describe(data);
    tx.insert("payment_intent.created", &intent)?;
    tx.update_quietly(&session.id, |session: &mut CheckoutSession| {
        session.attempted_intent = Some(intent.id.clone());
    })?;
    Ok(intent)
}

fn invoice_for(tx: &mut Tx<'_>, session: &CheckoutSession, customer: &Customer) -> Result<Invoice, ApiError> {
    let now = tx.now();
    let lines = session.items().iter();
    let lines =
        lines.map(|item| InvoiceLine::once(&item.price, item.quantity.unwrap_or_default(), &item.description, now));
    let mut draft = invoice::draft(
        Bill {
            customer,
            subscription: None,
            reason: BillingReason::Manual,
            currency: &session.currency,
            period: (now, now),
            lines: lines.collect(),
        },
        now,
    );
    if let Some(creation) = &session.invoice_creation {
        draft.apply(&creation.invoice_data);
    }
    invoice::issue(tx, &draft, &[])
}

/// Expires an open session; an error if it is already complete or expired.
pub(crate) fn expire(tx: &mut Tx<'_>, id: &str) -> Result<CheckoutSession, ApiError> {
    let session: CheckoutSession = tx.read(id)?;
    if session.status != SessionStatus::Open {
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
            session.status
        );
        return Err(ApiError::invalid("", message));
    }
    tx.update(id, "checkout.session.expired", |session: &mut CheckoutSession| {
        session.status = SessionStatus::Expired;
        session.url = None;
        session.pending = None;
    })
}
