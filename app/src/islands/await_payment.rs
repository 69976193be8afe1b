//! Reloads the page until a payment is confirmed.
//!
//! Each load fetches the payment from Stripe. The page reloads after 2 seconds, then 4, 8, 16, and
//! then every 30. The number of attempts is kept in this entry of the browser's history, so another
//! payment starts over. Without JavaScript the page refreshes itself and has a link.

use std::time::Duration;

use leptos::prelude::*;
use leptos::wasm_bindgen::JsValue;

/// A note that the page reloads itself, with a pulsing dot.
#[island]
pub fn AwaitPayment() -> impl IntoView {
    Effect::new(|_| {
        let attempts = attempts();
        set_timeout(move || reload(attempts), delay(attempts));
    });
    view! {
        <p class="waiting">
            <span class="waiting-dot" aria-hidden="true"></span>
            "This page updates automatically."
        </p>
    }
}

fn delay(attempts: u32) -> Duration {
    Duration::from_secs(if attempts < 4 { 2 << attempts } else { 30 })
}

fn attempts() -> u32 {
    let state = window().history().and_then(|history| history.state()).ok();
    state.and_then(|state| state.as_f64()).map_or(0, |attempts| attempts as u32)
}

fn reload(attempts: u32) {
    if let Ok(history) = window().history() {
        // If it fails, the delays stay short.
        let _counted = history.replace_state(&JsValue::from(attempts.saturating_add(1)), "");
    }
    let _reloading = window().location().reload();
}
