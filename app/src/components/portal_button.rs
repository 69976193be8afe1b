//! The button that opens Stripe's customer portal.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::api::OpenPortal;

/// A form with one button. `flow="card"` opens the page for updating the card.
#[component]
pub fn PortalButton(
    label: &'static str,
    #[prop(optional)] flow: &'static str,
    /// Whether it is the page's primary button.
    #[prop(optional)]
    is_primary: bool,
) -> impl IntoView {
    let class = if is_primary { "button button-primary" } else { "button" };
    view! {
        <form method="post" action=OpenPortal::url()>
            {(!flow.is_empty()).then(|| view! { <input type="hidden" name="flow" value=flow/> })}
            <button class=class type="submit">{label}</button>
        </form>
    }
}
