//! `/c/pay/{session}`: the hosted Checkout page.
//!
//! Invariant: an open session shows the form, a session in any other state an error page with a 4xx
//! status. A rejected form keeps its values, except the card number and the CVC.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::banks;
use crate::cards::CARDS;
use crate::clock;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::checkout::{self, Payer, Submitted};
use crate::flows::payment;
use crate::hosted::html::{App, esc, link, notice, page, see_other};
use crate::money;
use crate::objects::{CheckoutSession, CustomMessage, Customer, Recurring, SessionItem, SessionStatus};
use crate::store::{Origin, Tx};

/// The values of the form.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    email: String,
    pub(super) name: String,
    number: String,
    expiry: String,
    cvc: String,
    /// `card`, the kind of bank debit, or `link`.
    pay_with: String,
    account: String,
    /// The e-mail address of the Link account.
    link_email: String,
}

impl Input {
    /// Reads a submitted form.
    pub(super) fn read(body: &str) -> Self {
        let mut input = Self::default();
        for (name, value) in form_urlencoded::parse(body.as_bytes()) {
            let field = match name.as_ref() {
                "email" => &mut input.email,
                "name" => &mut input.name,
                "number" => &mut input.number,
                "expiry" => &mut input.expiry,
                "cvc" => &mut input.cvc,
                "pay_with" => &mut input.pay_with,
                "account" => &mut input.account,
                "link_email" => &mut input.link_email,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        input
    }

    /// Stores the chosen payment method: the card, the bank account, or that of the Link account.
    fn method(&self, tx: &mut Tx<'_>, session: &CheckoutSession) -> Result<Value, FieldError> {
        match self.way(session) {
            "card" => self.card(tx),
            "link" => self.link(tx, session),
            kind => self.account(tx, kind),
        }
    }

    /// Returns the chosen way to pay, which is the first one unless the session accepts the one sent.
    fn way<'a>(&self, session: &'a CheckoutSession) -> &'a str {
        let ways = ways(session);
        let chosen = ways.iter().find(|(way, _)| *way == self.pay_with).or(ways.first());
        chosen.map_or("card", |(way, _)| way)
    }

    /// Stores the payment method of the Link account. Unless the session accepts the type `link`, that is a card.
    fn link(&self, tx: &mut Tx<'_>, session: &CheckoutSession) -> Result<Value, FieldError> {
        if !plausible_email(&self.link_email) {
            return Err(FieldError::new("link_email", "Enter the e-mail address of a Link account."));
        }
        let kind = if session.accepts("link") { "link" } else { "card" };
        Ok(payment::new_link(tx, &self.link_email.to_lowercase(), kind))
    }

    /// Stores the bank account.
    fn account(&self, tx: &mut Tx<'_>, kind: &str) -> Result<Value, FieldError> {
        let account = banks::account(kind, &self.account)
            .ok_or_else(|| FieldError::new("account", "Enter one of the test account numbers below."))?;
        if self.name.is_empty() {
            return Err(FieldError::new("name", "Enter the account holder's name."));
        }
        Ok(payment::new_account(tx, account))
    }

    /// Stores the card; the caller adds the billing details.
    pub(super) fn card(&self, tx: &mut Tx<'_>) -> Result<Value, FieldError> {
        let expiry = read_expiry(&self.expiry)?;
        let card = payment::card_of(&self.number, expiry, tx.now()).map_err(|error| {
            let field = match error.fields().text("param") {
                "exp_month" | "exp_year" => "expiry",
                _ => "number",
            };
            FieldError { field, message: error.message.into() }
        })?;
        let digits = if card.brand == "amex" { 4 } else { 3 };
        if self.cvc.len() != digits || !self.cvc.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FieldError { field: "cvc", message: format!("Your card's security code is {digits} digits.") });
        }
        if self.name.is_empty() {
            return Err(FieldError::new("name", "Enter the name on the card."));
        }
        Ok(payment::new_method(tx, card, expiry))
    }
}

/// A validation error of a field.
#[derive(Debug)]
pub(super) struct FieldError {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl FieldError {
    fn new(field: &'static str, message: &str) -> Self {
        Self { field, message: message.to_owned() }
    }
}

/// `GET /c/pay/{session}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>) -> Response {
    shared.catch_up();
    let inner = shared.lock();
    let session: Option<CheckoutSession> = inner.store.read(&id);
    let now = inner.store.now_millis() / 1000;
    let customer = session.as_ref().and_then(|session| session.customer.as_ref());
    let customer: Option<Customer> = customer.and_then(|customer| inner.store.read(customer));
    drop(inner);
    match open(session) {
        Ok(session) => {
            let email = customer.map_or_else(|| session.customer_email.clone(), |customer| customer.email);
            let input = Input { email: email.unwrap_or_default(), ..Input::default() };
            let field_error = session.error.as_deref().map(|message| FieldError::new("number", message));
            form(StatusCode::OK, &session, &input, field_error.as_ref(), now)
        }
        Err(closed) => *closed,
    }
}

/// Returns the session if it is open, otherwise a page with the reason.
pub(super) fn open(session: Option<CheckoutSession>) -> Result<CheckoutSession, Box<Response>> {
    let Some(session) = session else {
        return Err(Box::new(notice(
            StatusCode::NOT_FOUND,
            "Page not found",
            "We couldn't find this Checkout Session. The link may be incomplete.",
            None,
        )));
    };
    match session.status {
        SessionStatus::Open => Ok(session),
        SessionStatus::Complete => Err(Box::new(notice(
            StatusCode::CONFLICT,
            "Already completed",
            "This checkout is complete. You haven't been charged again.",
            Some((&session.success_url(), "Continue")),
        ))),
        SessionStatus::Expired => Err(Box::new(notice(
            StatusCode::GONE,
            "This link has expired",
            "Checkout links are valid for a day. You haven't been charged. Go back to start over.",
            session.cancel_url.as_deref().map(|url| (url, "Back")),
        ))),
    }
}

/// `POST /c/pay/{session}`
pub(crate) async fn submit(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let mut input = Input::read(&body);
    let mut response = None;
    let outcome = shared.transaction(Origin::default(), |tx| {
        let session = match open(tx.read(&id).ok()) {
            Ok(session) => session,
            Err(closed) => {
                response = Some(*closed);
                return Ok(());
            }
        };
        let customer: Option<Customer> = session.customer.as_ref().and_then(|customer| tx.read(customer).ok());
        if let Some(email) = customer.and_then(|customer| customer.email) {
            input.email = email;
        }
        tx.update_quietly(&id, |session: &mut CheckoutSession| session.error = None)?;
        let now = tx.now();
        let (field_error, error) = match attempt(tx, &session, &input) {
            Ok(Submitted::Complete(session)) => {
                response = Some(see_other(&session.success_url()));
                return Ok(());
            }
            Ok(Submitted::Authenticate) => {
                response = Some(see_other(&format!("/c/pay/{id}/authenticate")));
                return Ok(());
            }
            Err(Rejected::Input(field_error)) => (field_error, None),
            Err(Rejected::Card(error)) => {
                (FieldError { field: "number", message: error.message.to_string() }, Some(error))
            }
        };
        let status = match error {
            Some(_) => StatusCode::PAYMENT_REQUIRED,
            None => StatusCode::UNPROCESSABLE_ENTITY,
        };
        response = Some(form(status, &session, &input, Some(&field_error), now));
        error.map_or(Ok(()), Err)
    });
    match (response, outcome) {
        (Some(response), _) => response,
        (None, Err(error)) => notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", &error.message, None),
        (None, Ok(())) => notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", "Please try again.", None),
    }
}

/// The reason why a submitted form was rejected.
enum Rejected {
    Input(FieldError),
    Card(ApiError),
}

fn attempt(tx: &mut Tx<'_>, session: &CheckoutSession, input: &Input) -> Result<Submitted, Rejected> {
    if !plausible_email(&input.email) {
        return Err(Rejected::Input(FieldError::new("email", "Enter an e-mail address, e.g. ada@example.com.")));
    }
    let payer = Payer { email: input.email.clone(), name: input.name.clone() };
    let id = &session.id;
    if !checkout::needs_card(session) {
        return checkout::submit(tx, id, &payer, None).map_err(Rejected::Card);
    }
    let method = input.method(tx, session).map_err(Rejected::Input)?;
    checkout::submit(tx, id, &payer, Some(&method)).map_err(Rejected::Card)
}

/// Returns the kind of bank debit that a session accepts.
fn debit_of(session: &CheckoutSession) -> Option<&str> {
    session.payment_method_types.iter().map(String::as_str).find(|kind| !matches!(*kind, "card" | "link"))
}

/// Returns the ways to pay for a session, and their labels. Link is also a wallet of cards.
fn ways(session: &CheckoutSession) -> Vec<(&str, &'static str)> {
    let card = session.accepts("card").then_some(("card", "Card"));
    let bank = debit_of(session).map(|kind| (kind, "Bank debit"));
    let link = (session.accepts("card") || session.accepts("link")).then_some(("link", "Link"));
    [card, bank, link].into_iter().flatten().collect()
}

fn plausible_email(email: &str) -> bool {
    email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.starts_with('.') && !email.contains(char::is_whitespace)
    })
}

/// Parses an expiry (`12/34`, `1234`, `12 / 2034`) into month and year.
fn read_expiry(text: &str) -> Result<(i64, i64), FieldError> {
    let invalid = || FieldError::new("expiry", "Enter the expiry date as month and year, e.g. 12 / 34.");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if text.chars().any(|c| !c.is_ascii_digit() && !c.is_whitespace() && c != '/') {
        return Err(invalid());
    }
    let (month, year) = match digits.len() {
        3 | 5 => digits.split_at(1),
        4 | 6 => digits.split_at(2),
        _ => return Err(invalid()),
    };
    let month: i64 = month.parse().map_err(|_| invalid())?;
    let year: i64 = year.parse().map_err(|_| invalid())?;
    if !(1..=12).contains(&month) {
        return Err(invalid());
    }
    Ok((month, if year < 100 { 2000 + year } else { year }))
}

/// Describes a billing interval: "per month", "every 3 months".
pub(super) fn interval_of(recurring: &Recurring) -> String {
    match recurring.period() {
        (interval, 1) => format!("per {interval}"),
        (interval, count) => format!("every {count} {interval}s"),
    }
}

/// Describes the billing interval of a line item.
fn item_interval(item: &SessionItem) -> Option<String> {
    item.price.recurring.as_ref().map(interval_of)
}

/// The offer on the page: heading, price, terms and button.
struct Offer {
    title: String,
    price: String,
    terms: String,
    button: String,
}

fn offer(session: &CheckoutSession, now: i64) -> Offer {
    let currency = &session.currency;
    let items = session.items();
    let names: Vec<&str> = items.iter().map(|item| item.description.as_str()).collect();
    let due = session.amount_total;
    if !session.subscribes() {
        return Offer {
            title: format!("Pay for {}", names.join(" and ")),
            price: money::format(due, currency),
            terms: String::new(),
            button: format!("Pay {}", money::format(due, currency)),
        };
    }
    let recurring = items.iter().filter(|item| !item.is_one_time());
    let each: i64 = recurring.clone().map(|item| item.amount_total).sum();
    let interval = items.iter().find_map(item_interval).unwrap_or_default();
    let each = format!("{} {interval}", money::format(each, currency));
    match checkout::trial_end_of(session, now) {
        Some(end) => {
            let days = (end - now + clock::DAY - 1) / clock::DAY;
            let plural = if days == 1 { "day" } else { "days" };
            Offer {
                title: format!("Try {}", names.join(" and ")),
                price: format!("{days} {plural} free"),
                terms: format!("{days} {plural} free, then {each} from {}.", clock::long_date(end)),
                button: "Start trial".to_owned(),
            }
        }
        None => Offer {
            title: format!("Subscribe to {}", names.join(" and ")),
            price: each,
            terms: "Renews until you cancel.".to_owned(),
            button: "Subscribe".to_owned(),
        },
    }
}

fn form(
    status: StatusCode,
    session: &CheckoutSession,
    input: &Input,
    field_error: Option<&FieldError>,
    now: i64,
) -> Response {
    let offer = offer(session, now);
    let currency = &session.currency;
    let back = session
        .cancel_url
        .as_ref()
        .map_or_else(String::new, |url| format!(r#"<a class="back" href="{}">Back</a>"#, link(url)));
    let lines: String = session
        .items()
        .iter()
        .map(|item| {
            let amount = money::format(item.amount_total, currency);
            let interval = item_interval(item).unwrap_or_default();
            let quantity = match item.quantity {
                None | Some(0 | 1) => String::new(),
                Some(quantity) => format!(" × {quantity}"),
            };
            format!(
                r#"<li><span>{}{quantity}</span><span class="amount">{amount} {interval}</span></li>"#,
                esc(&item.description)
            )
        })
        .collect();
    let due = money::format(session.amount_total, currency);
    let (title, price, terms, button) = (esc(&offer.title), esc(&offer.price), esc(&offer.terms), esc(&offer.button));
    let email = email_field(session, input, field_error);
    let (ways, examples) = match checkout::needs_card(session) {
        true => (payment_fields(session, input, field_error), examples(session)),
        false => (String::new(), String::new()),
    };
    let says = |text: &Option<CustomMessage>| match text {
        Some(text) if !text.message.is_empty() => format!(r#"<p class="muted">{}</p>"#, esc(&text.message)),
        _ => String::new(),
    };
    let (before_button, after_button) = (says(&session.custom_text.submit), says(&session.custom_text.after_submit));
    let main = format!(
        r#"{back}
<div class="columns">
<section aria-labelledby="offer">
<h1 id="offer">{title}</h1>
<p class="price">{price}</p>
<p class="muted">{terms}</p>
<ul class="lines">
{lines}
<li><strong>Due today</strong><strong class="amount">{due}</strong></li>
</ul>
</section>
<section class="card" aria-label="Payment">
<form method="post" novalidate>
{email}
{ways}
{before_button}
<button>{button}</button>
{after_button}
</form>
{examples}
</section>
</div>"#
    );
    page(status, &offer.title, &main)
}

/// Renders the fields of each way to pay, and a choice between them. The stylesheet hides the fields of the ways
/// that are not chosen, so that the choice works without JavaScript.
fn payment_fields(session: &CheckoutSession, input: &Input, field_error: Option<&FieldError>) -> String {
    let (ways, chosen) = (ways(session), input.way(session));
    let choices: String = ways
        .iter()
        .map(|(way, label)| {
            let checked = if *way == chosen { " checked" } else { "" };
            format!(r#"<label><input type="radio" name="pay_with" value="{way}"{checked}>{label}</label>"#)
        })
        .collect();
    let mut shown = match ways.len() {
        1 => String::new(),
        _ => format!("<fieldset class=\"ways\"><legend>Pay with</legend>\n{choices}</fieldset>\n"),
    };
    let mut add = |class: &str, fields: &str| shown.push_str(&format!("<div class=\"{class}\">{fields}</div>\n"));
    if session.accepts("card") {
        add("by-card", &card_numbers(input, field_error));
    }
    if let Some(kind) = debit_of(session) {
        let label = if kind == "sepa_debit" { "IBAN" } else { "Account number" };
        add("by-bank", &field("account", label, &input.account, r#"autocomplete="off""#, field_error));
    }
    if ways.iter().any(|(way, _)| *way != "link") {
        let (label, attributes) = match session.accepts("card") {
            true => ("Name on card", r#"autocomplete="cc-name""#),
            false => ("Account holder", r#"autocomplete="name""#),
        };
        add("by-name", &field("name", label, &input.name, attributes, field_error));
    }
    if ways.iter().any(|(way, _)| *way == "link") {
        let attributes = r#"type="email" autocomplete="off""#;
        add("by-link", &field("link_email", "Link account", &input.link_email, attributes, field_error));
    }
    shown
}

/// Renders the test cards and accounts that the session accepts.
fn examples(session: &CheckoutSession) -> String {
    let mut shown = if session.accepts("card") { test_cards() } else { String::new() };
    if let Some(kind) = debit_of(session) {
        let rows: String = banks::offered(kind)
            .map(|account| format!("<div><dt>{}</dt><dd>{}</dd></div>", account.number, account.note))
            .collect();
        shown.push_str(&format!(r#"<h2>Test accounts</h2><dl class="cards">{rows}</dl>"#));
    }
    if ways(session).iter().any(|(way, _)| *way == "link") {
        shown.push_str(r#"<p class="muted">Any e-mail address is a Link account, which pays.</p>"#);
    }
    shown
}

/// Renders a labeled field with its validation error.
fn field(name: &str, label: &str, value: &str, attributes: &str, field_error: Option<&FieldError>) -> String {
    let message =
        field_error.filter(|field_error| field_error.field == name).map(|field_error| esc(&field_error.message));
    let (invalid, error) = match &message {
        Some(message) => (
            format!(r#" aria-invalid="true" aria-describedby="{name}-error" autofocus"#),
            format!(r#"<p class="error" id="{name}-error">{message}</p>"#),
        ),
        None => (String::new(), String::new()),
    };
    format!(
        r#"<div><label for="{name}">{label}</label><input id="{name}" name="{name}" value="{}" required {attributes}{invalid}>{error}</div>"#,
        esc(value)
    )
}

fn email_field(session: &CheckoutSession, input: &Input, field_error: Option<&FieldError>) -> String {
    let fixed = session.customer.is_some()
        && !input.email.is_empty()
        && field_error.is_none_or(|field_error| field_error.field != "email");
    let attributes = match fixed {
        true => r#"type="email" autocomplete="email" readonly"#,
        false => r#"type="email" autocomplete="email""#,
    };
    field("email", "E-mail", &input.email, attributes, field_error)
}

pub(super) fn card_fields(input: &Input, field_error: Option<&FieldError>) -> String {
    let name = field("name", "Name on card", &input.name, r#"autocomplete="cc-name""#, field_error);
    format!("{}{name}", card_numbers(input, field_error))
}

fn card_numbers(input: &Input, field_error: Option<&FieldError>) -> String {
    let numeric = r#"inputmode="numeric" autocomplete="#;
    let number = field(
        "number",
        "Card number",
        "",
        &format!(r#"{numeric}"cc-number" placeholder="1234 1234 1234 1234""#),
        field_error,
    );
    let expiry =
        field("expiry", "Expiry", &input.expiry, &format!(r#"{numeric}"cc-exp" placeholder="MM / YY""#), field_error);
    let cvc = field("cvc", "CVC", "", &format!(r#"{numeric}"cc-csc" maxlength="4""#), field_error);
    format!(r#"{number}<div class="row">{expiry}{cvc}</div>"#)
}

/// Formats a card number in groups of four digits.
fn group_digits(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

pub(super) fn test_cards() -> String {
    let rows: String = CARDS
        .iter()
        .filter(|card| !card.note.is_empty())
        .map(|card| format!("<div><dt>{}</dt><dd>{}</dd></div>", group_digits(card.number), card.note))
        .collect();
    format!(
        r#"<h2>Test cards</h2><p class="muted">Use any future expiry date and any CVC.</p><dl class="cards">{rows}</dl>"#
    )
}

#[cfg(test)]
mod tests {
    use super::{plausible_email, read_expiry};

    #[test]
    fn expiries_are_parsed_in_all_common_formats() {
        for text in ["12/34", "12 / 34", "1234", "12/2034"] {
            assert_eq!(read_expiry(text).ok(), Some((12, 2034)), "{text}");
        }
        for text in ["", "13/34", "12", "ab/cd", "12-34", "0034"] {
            assert!(read_expiry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_email_needs_a_host() {
        assert!(plausible_email("ada@example.com"));
        for text in ["", "ada", "ada@", "ada@host", "a b@example.com"] {
            assert!(!plausible_email(text), "{text}");
        }
    }
}
