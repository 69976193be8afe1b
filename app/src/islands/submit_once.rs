//! A submit button that sends its form once.
//!
//! The server creates one Checkout session for a double click anyway; this saves the second request
//! and shows that the form is being sent. Without JavaScript it is a plain submit button.

use leptos::prelude::*;

/// The submit button of the form around it, with `children` as its label.
#[island]
pub fn SubmitOnce(children: Children) -> impl IntoView {
    let sent = RwSignal::new(false);
    // A page restored by the browser's back button would still be busy.
    let _listener = window_event_listener_untyped("pageshow", move |_| sent.set(false));
    let is_busy = move || if sent.get() { "true" } else { "false" };
    // Not `disabled`: a button that its own click disables doesn't submit the form.
    view! {
        <button
            class="button button-primary"
            type="submit"
            aria-disabled=is_busy
            aria-busy=is_busy
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
