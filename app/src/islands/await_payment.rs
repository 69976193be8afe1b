//! Looks again while a payment is on its way.
//!
//! The page itself asks Stripe each time it is loaded, so looking again is loading
//! again: after 2 seconds, then 4, 8, 16 and every 30. The count lives in this entry
//! of the browser's history, so that another payment starts anew. Without
//! JavaScript the page refreshes by itself and has a link.

use std::time::Duration;

use leptos::prelude::*;
use leptos::wasm_bindgen::JsValue;

/// A line that says so, beside a dot that breathes.
#[island]
pub fn AwaitPayment() -> impl IntoView {
    Effect::new(|_| {
        let tries = tries();
        set_timeout(move || look_again(tries), pause(tries));
    });
    view! {
        <p class="waiting">
            <span class="waiting-dot" aria-hidden="true"></span>
            "This page looks again by itself."
        </p>
    }
}

fn pause(tries: u32) -> Duration {
    Duration::from_secs(if tries < 4 { 2 << tries } else { 30 })
}

fn tries() -> u32 {
    let state = window().history().and_then(|history| history.state()).ok();
    state.and_then(|state| state.as_f64()).map_or(0, |tries| tries as u32)
}

fn look_again(tries: u32) {
    if let Ok(history) = window().history() {
        // Without the count the pauses stay short: no reason not to look.
        let _counted = history.replace_state(&JsValue::from(tries.saturating_add(1)), "");
    }
    let _reloading = window().location().reload();
}
