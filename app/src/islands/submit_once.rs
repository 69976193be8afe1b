//! A submit button that sends its form once.
//!
//! The server makes one Checkout session of a double click anyway; this spares the
//! second request and shows that something is under way. Without JavaScript it is
//! the plain button it looks like.

use leptos::prelude::*;

/// The submit button of the form around it, with `children` as its label.
#[island]
pub fn SubmitOnce(children: Children) -> impl IntoView {
    let sent = RwSignal::new(false);
    // A page that comes back with the browser's "back" is as it was left: busy.
    let _for_the_page_s_life = window_event_listener_untyped("pageshow", move |_| sent.set(false));
    let word = move || if sent.get() { "true" } else { "false" };
    // Not `disabled`: a button disabled by its own click takes the form with it.
    view! {
        <button
            class="button button-primary"
            type="submit"
            aria-disabled=word
            aria-busy=word
            on:click=move |click| {
                if sent.get_untracked() {
                    click.prevent_default();
                }
                sent.set(true);
            }
        >
            {children()}
        </button>
    }
}
