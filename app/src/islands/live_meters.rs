//! Meters that update themselves.
//!
//! Fetches the meters every ten seconds while the page is visible, and replaces the old ones.
//! Without JavaScript they stay as they were when the page was loaded.

use std::time::Duration;

use leptos::html::Div;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

const INTERVAL: Duration = Duration::from_secs(10);
const METERS: &str = "/dashboard/meters";

/// Shows `children`, the meters as they were when the page was loaded, and then the current ones.
#[island]
pub fn LiveMeters(children: Children) -> impl IntoView {
    let meters = NodeRef::<Div>::new();
    Effect::new(move |_| {
        let _interval = set_interval_with_handle(
            move || {
                if !document().hidden() {
                    leptos::task::spawn_local(async move {
                        // After a failed request the old meters stay until the next one.
                        if let (Some(html), Some(meters)) = (fetch().await, meters.get_untracked()) {
                            meters.set_inner_html(&html);
                        }
                    });
                }
            },
            INTERVAL,
        );
    });
    view! { <div class="meters" node_ref=meters>{children()}</div> }
}

async fn fetch() -> Option<String> {
    let response = JsFuture::from(window().fetch_with_str(METERS)).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    // A visitor who has been signed out is redirected to the login page.
    if !response.ok() || response.redirected() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}
