//! The notice for a customer who came back from Checkout without paying.

use leptos::prelude::*;

use super::banner::{Banner, Tone};

/// A banner for the `notice=` of a page's address; nothing for any other.
#[component]
pub fn CheckoutNotice(notice: Option<String>) -> impl IntoView {
    let (title, text) = match notice.as_deref()? {
        "already_subscribed" => (
            "You already have a subscription.",
            "You can have one at a time, so we didn't start another and you weren't charged.",
        ),
        "subscribed_before" => (
            "This e-mail address already has a subscription.",
            "It isn't linked to this account yet, so we didn't start another and you weren't charged. \
             Contact us and we'll link it.",
        ),
        "canceled" => ("Checkout canceled.", "You left before paying, so you weren't charged."),
        _ => return None,
    };
    Some(view! { <Banner tone=Tone::Info title><p>{text}</p></Banner> })
}
