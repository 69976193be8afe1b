//! `/c/pay/{session}`: the hosted Checkout page.
//!
//! Invariant: an open session shows the form, every other state a 4xx page that says so. A
//! refused submit keeps what was typed, except the card number and CVC.

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
use crate::store::{Origin, Tx};

/// What was typed, as it goes back into the form.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    email: String,
    pub(super) name: String,
    number: String,
    expiry: String,
    cvc: String,
    /// `card`, or the kind of bank debit.
    pay_with: String,
    account: String,
}

impl Typed {
    /// The fields of a posted form.
    pub(super) fn read(body: &str) -> Self {
        let mut typed = Self::default();
        for (name, value) in form_urlencoded::parse(body.as_bytes()) {
            let field = match name.as_ref() {
                "email" => &mut typed.email,
                "name" => &mut typed.name,
                "number" => &mut typed.number,
                "expiry" => &mut typed.expiry,
                "cvc" => &mut typed.cvc,
                "pay_with" => &mut typed.pay_with,
                "account" => &mut typed.account,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        typed
    }

    /// Stores what was chosen to pay with: the card, or the bank account.
    fn method(&self, tx: &mut Tx<'_>, session: &Value) -> Result<Value, Fault> {
        let Some(kind) = debit_of(session).filter(|kind| self.pay_with == *kind || !takes_cards(session)) else {
            return self.card(tx);
        };
        let account = banks::account(kind, &self.account)
            .ok_or_else(|| fault("account", "Enter one of the test account numbers below."))?;
        if self.name.is_empty() {
            return Err(fault("name", "Enter the name of the account's holder."));
        }
        Ok(payment::new_account(tx, account))
    }

    /// Stores the card that was typed; who types is the caller's to note.
    pub(super) fn card(&self, tx: &mut Tx<'_>) -> Result<Value, Fault> {
        let expiry = read_expiry(&self.expiry)?;
        let card = payment::card_of(&self.number, expiry, tx.now()).map_err(|error| {
            let field = match error.fields().text("param") {
                "exp_month" | "exp_year" => "expiry",
                _ => "number",
            };
            Fault { field, message: error.message.into() }
        })?;
        let digits = if card.brand == "amex" { 4 } else { 3 };
        if self.cvc.len() != digits || !self.cvc.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault { field: "cvc", message: format!("Your card's security code is {digits} digits.") });
        }
        if self.name.is_empty() {
            return Err(fault("name", "Enter the name on the card."));
        }
        Ok(payment::new_method(tx, card, expiry))
    }
}

/// Which field is at fault, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) field: &'static str,
    pub(super) message: String,
}

fn fault(field: &'static str, message: &str) -> Fault {
    Fault { field, message: message.to_owned() }
}

/// `GET /c/pay/{session}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>) -> Response {
    shared.catch_up();
    let inner = shared.lock();
    let session = inner.store.get(&id).filter(|session| session.text("object") == "checkout.session");
    let now = inner.store.now_millis() / 1000;
    let known_email = session
        .and_then(|session| inner.store.get(session.text("customer")))
        .map(|customer| customer.text("email").to_owned());
    let session = session.cloned();
    drop(inner);
    match open(session) {
        Ok(session) => {
            let typed = Typed {
                email: known_email.unwrap_or_else(|| session.text("customer_email").to_owned()),
                ..Typed::default()
            };
            let fault = session.some("_fault").map(|message| fault("number", message));
            form(StatusCode::OK, &session, &typed, fault.as_ref(), now)
        }
        Err(closed) => *closed,
    }
}

/// The session if it can be paid, else the page that says why not.
pub(super) fn open(session: Option<Value>) -> Result<Value, Box<Response>> {
    let Some(session) = session else {
        return Err(Box::new(notice(
            StatusCode::NOT_FOUND,
            "This page does not exist",
            "The link is not one of a Checkout Session. Perhaps it was cut off.",
            None,
        )));
    };
    match session.text("status") {
        "open" => Ok(session),
        "complete" => Err(Box::new(notice(
            StatusCode::CONFLICT,
            "Already completed",
            "This checkout has been completed. You have not been charged again.",
            Some((&checkout::success_url(&session), "Continue")),
        ))),
        _ => Err(Box::new(notice(
            StatusCode::GONE,
            "This link has expired",
            "Checkout links last a day. Go back to start again; you have not been charged.",
            session.some("cancel_url").map(|url| (url, "Back")),
        ))),
    }
}

/// `POST /c/pay/{session}`
pub(crate) async fn submit(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let mut typed = Typed::read(&body);
    let mut answer = None;
    let outcome = shared.transaction(Origin::default(), |tx| {
        let session = match open(tx.lookup("checkout.session", &id).cloned()) {
            Ok(session) => session,
            Err(closed) => {
                answer = Some(*closed);
                return Ok(());
            }
        };
        if let Some(email) = tx.get(session.text("customer")).and_then(|customer| customer.some("email")) {
            email.clone_into(&mut typed.email);
        }
        tx.quietly(&id, |session| session.set("_fault", Value::Null));
        let now = tx.now();
        let (fault, error) = match attempt(tx, &session, &typed) {
            Ok(Submitted::Complete(session)) => {
                answer = Some(see_other(&checkout::success_url(&session)));
                return Ok(());
            }
            Ok(Submitted::Authenticate) => {
                answer = Some(see_other(&format!("/c/pay/{id}/authenticate")));
                return Ok(());
            }
            Err(Refused::Typed(fault)) => (fault, None),
            Err(Refused::Card(error)) => (Fault { field: "number", message: error.message.to_string() }, Some(error)),
        };
        let status = match error {
            Some(_) => StatusCode::PAYMENT_REQUIRED,
            None => StatusCode::UNPROCESSABLE_ENTITY,
        };
        answer = Some(form(status, &session, &typed, Some(&fault), now));
        error.map_or(Ok(()), Err)
    });
    match (answer, outcome) {
        (Some(answer), _) => answer,
        (None, Err(error)) => notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", &error.message, None),
        (None, Ok(())) => notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", "Please try again.", None),
    }
}

/// Why a submit did not go through.
enum Refused {
    Typed(Fault),
    Card(ApiError),
}

fn attempt(tx: &mut Tx<'_>, session: &Value, typed: &Typed) -> Result<Submitted, Refused> {
    if !plausible_email(&typed.email) {
        return Err(Refused::Typed(fault("email", "Enter an e-mail address, like ada@example.com.")));
    }
    let payer = Payer { email: typed.email.clone(), name: typed.name.clone() };
    let id = session.text("id");
    if !checkout::needs_card(session) {
        return checkout::submit(tx, id, &payer, None).map_err(Refused::Card);
    }
    let method = typed.method(tx, session).map_err(Refused::Typed)?;
    checkout::submit(tx, id, &payer, Some(&method)).map_err(Refused::Card)
}

/// The bank debit that a session offers.
fn debit_of(session: &Value) -> Option<&str> {
    session.list("payment_method_types").iter().filter_map(Value::as_str).find(|kind| *kind != "card")
}

fn takes_cards(session: &Value) -> bool {
    session.list("payment_method_types").iter().any(|kind| kind == "card")
}

fn plausible_email(email: &str) -> bool {
    email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.starts_with('.') && !email.contains(char::is_whitespace)
    })
}

/// `12/34`, `1234`, `12 / 2034` → month and year.
fn read_expiry(text: &str) -> Result<(i64, i64), Fault> {
    let invalid = || fault("expiry", "Enter the expiry as month and year, like 12 / 34.");
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

/// "per month", "every 3 months".
pub(super) fn interval_of(price: &Value) -> Option<String> {
    let recurring = &price["recurring"];
    let interval = recurring.some("interval")?;
    Some(match recurring.int("interval_count") {
        0 | 1 => format!("per {interval}"),
        count => format!("every {count} {interval}s"),
    })
}

/// What is bought: heading, price, terms and button.
struct Offer {
    title: String,
    price: String,
    terms: String,
    button: String,
}

fn offer(session: &Value, now: i64) -> Offer {
    let currency = session.text("currency");
    let items = session.list("_line_items");
    let names: Vec<&str> = items.iter().map(|item| item.text("description")).collect();
    let due = session.int("amount_total");
    if session.text("mode") != "subscription" {
        return Offer {
            title: format!("Pay for {}", names.join(" and ")),
            price: money::format(due, currency),
            terms: String::new(),
            button: format!("Pay {}", money::format(due, currency)),
        };
    }
    let recurring = items.iter().filter(|item| !item["price"]["recurring"].is_null());
    let each: i64 = recurring.clone().map(|item| item.int("amount_total")).sum();
    let interval = recurring.clone().find_map(|item| interval_of(&item["price"])).unwrap_or_default();
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

fn form(status: StatusCode, session: &Value, typed: &Typed, fault: Option<&Fault>, now: i64) -> Response {
    let offer = offer(session, now);
    let currency = session.text("currency");
    let back = session
        .some("cancel_url")
        .map_or_else(String::new, |url| format!(r#"<a class="back" href="{}">Back</a>"#, link(url)));
    let lines: String = session
        .list("_line_items")
        .iter()
        .map(|item| {
            let amount = money::format(item.int("amount_total"), currency);
            let interval = interval_of(&item["price"]).unwrap_or_default();
            let quantity = match item.int("quantity") {
                0 | 1 => String::new(),
                quantity => format!(" × {quantity}"),
            };
            format!(
                r#"<li><span>{}{quantity}</span><span class="amount">{amount} {interval}</span></li>"#,
                esc(item.text("description"))
            )
        })
        .collect();
    let due = money::format(session.int("amount_total"), currency);
    let (title, price, terms, button) = (esc(&offer.title), esc(&offer.price), esc(&offer.terms), esc(&offer.button));
    let email = email_field(session, typed, fault);
    let (ways, examples) = match checkout::needs_card(session) {
        true => (ways_to_pay(session, typed, fault), examples(session)),
        false => (String::new(), String::new()),
    };
    let says = |place: &str| match session["custom_text"][place].some("message") {
        Some(text) => format!(r#"<p class="muted">{}</p>"#, esc(text)),
        None => String::new(),
    };
    let (before_button, after_button) = (says("submit"), says("after_submit"));
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

/// The fields of a card, of a bank account, or the choice between them. The choice hides what is
/// not chosen by style alone, so that it works without a script.
fn ways_to_pay(session: &Value, typed: &Typed, fault: Option<&Fault>) -> String {
    let Some(kind) = debit_of(session) else {
        return card_fields(typed, fault);
    };
    let label = if kind == "sepa_debit" { "IBAN" } else { "Account number" };
    let account = field("account", label, &typed.account, r#"autocomplete="off""#, fault);
    if !takes_cards(session) {
        let name = field("name", "Account holder", &typed.name, r#"autocomplete="name""#, fault);
        return format!("{account}{name}");
    }
    let checked = |chosen: bool| if chosen { " checked" } else { "" };
    let debit = typed.pay_with == kind;
    let name = field("name", "Name on card", &typed.name, r#"autocomplete="cc-name""#, fault);
    format!(
        r#"<fieldset class="ways"><legend>Pay with</legend>
<label><input type="radio" name="pay_with" value="card"{card}>Card</label>
<label><input type="radio" name="pay_with" value="{kind}"{bank}>Bank debit</label>
</fieldset>
<div class="by-card">{numbers}</div>
<div class="by-bank">{account}</div>
{name}"#,
        card = checked(!debit),
        bank = checked(debit),
        numbers = card_numbers(typed, fault),
    )
}

/// What can be typed in tests.
fn examples(session: &Value) -> String {
    let mut shown = if takes_cards(session) { test_cards() } else { String::new() };
    if let Some(kind) = debit_of(session) {
        let rows: String = banks::offered(kind)
            .map(|account| format!("<div><dt>{}</dt><dd>{}</dd></div>", account.number, account.note))
            .collect();
        shown.push_str(&format!(r#"<h2>Test accounts</h2><dl class="cards">{rows}</dl>"#));
    }
    shown
}

/// A labelled field; a fault is tied to it.
fn field(name: &str, label: &str, value: &str, attributes: &str, fault: Option<&Fault>) -> String {
    let message = fault.filter(|fault| fault.field == name).map(|fault| esc(&fault.message));
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

fn email_field(session: &Value, typed: &Typed, fault: Option<&Fault>) -> String {
    let fixed = session.some("customer").is_some()
        && !typed.email.is_empty()
        && fault.is_none_or(|fault| fault.field != "email");
    let attributes = match fixed {
        true => r#"type="email" autocomplete="email" readonly"#,
        false => r#"type="email" autocomplete="email""#,
    };
    field("email", "E-mail", &typed.email, attributes, fault)
}

pub(super) fn card_fields(typed: &Typed, fault: Option<&Fault>) -> String {
    let name = field("name", "Name on card", &typed.name, r#"autocomplete="cc-name""#, fault);
    format!("{}{name}", card_numbers(typed, fault))
}

fn card_numbers(typed: &Typed, fault: Option<&Fault>) -> String {
    let numeric = r#"inputmode="numeric" autocomplete="#;
    let number = field(
        "number",
        "Card number",
        "",
        &format!(r#"{numeric}"cc-number" placeholder="1234 1234 1234 1234""#),
        fault,
    );
    let expiry =
        field("expiry", "Expiry", &typed.expiry, &format!(r#"{numeric}"cc-exp" placeholder="MM / YY""#), fault);
    let cvc = field("cvc", "CVC", "", &format!(r#"{numeric}"cc-csc" maxlength="4""#), fault);
    format!(r#"{number}<div class="row">{expiry}{cvc}</div>"#)
}

/// A card number as it stands on the card.
fn in_fours(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

pub(super) fn test_cards() -> String {
    let rows: String = CARDS
        .iter()
        .filter(|card| !card.note.is_empty())
        .map(|card| format!("<div><dt>{}</dt><dd>{}</dd></div>", in_fours(card.number), card.note))
        .collect();
    format!(
        r#"<h2>Test cards</h2><p class="muted">Any expiry in the future and any CVC will do.</p><dl class="cards">{rows}</dl>"#
    )
}

#[cfg(test)]
mod tests {
    use super::{plausible_email, read_expiry};

    #[test]
    fn expiries_are_read_as_people_write_them() {
        for text in ["12/34", "12 / 34", "1234", "12/2034"] {
            assert_eq!(read_expiry(text).ok(), Some((12, 2034)), "{text}");
        }
        for text in ["", "13/34", "12", "ab/cd", "12-34", "0034"] {
            assert!(read_expiry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn emails_need_a_host() {
        assert!(plausible_email("ada@example.com"));
        for text in ["", "ada", "ada@", "ada@host", "a b@example.com"] {
            assert!(!plausible_email(text), "{text}");
        }
    }
}
