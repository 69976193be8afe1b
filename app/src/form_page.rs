//! Finds the page that a form was on: a visitor whose session ended while a form was open is sent to the login,
//! and then back to the form, with the same choice.

use axum::http::header;
use axum::http::request::Parts;
use billing::Catalog;
use engine::Engine;
use leptos::server_fn::ServerFn;

use crate::addresses;
use crate::api::StartSubscription;
use crate::query::{Choice, pricing_path};

/// Returns the page with the form that was posted, for the gate.
pub fn of_request(parts: &Parts, form: &[u8]) -> Option<String> {
    of_post(parts.extensions.get::<Engine>()?.catalog(), parts, form)
}

/// Returns the page with the form that was posted. `None` if the `Referer` identifies it better.
pub fn of_post(catalog: &Catalog, parts: &Parts, form: &[u8]) -> Option<String> {
    let path = parts.uri.path();
    if path == StartSubscription::url() {
        return chosen_plan(catalog, form);
    }
    if addresses::is_page(path) {
        return Some(path.to_owned());
    }
    let has_referer = parts.headers.contains_key(header::REFERER);
    addresses::form_page(path).filter(|_| !has_referer).map(str::to_owned)
}

/// Returns the pricing page with the plan that was chosen.
fn chosen_plan(catalog: &Catalog, form: &[u8]) -> Option<String> {
    let value = |wanted| form_urlencoded::parse(form).find(|(name, _)| name == wanted).map(|(_, value)| value);
    let choice = Choice::parse(catalog, value("plan").as_deref(), value("interval").as_deref());
    let plan = catalog.plan_named(choice.plan.as_deref()?)?;
    Some(pricing_path(plan, choice.interval))
}
