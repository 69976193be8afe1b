//! Meters that follow what is used while one looks at them.
//!
//! Asks the server for the same meters every ten seconds, but only while the page is seen,
//! and puts them in the place of the old ones. Without JavaScript they are as they were when
//! the page was loaded.

use std::time::Duration;

use leptos::html::Div;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

/// How long a look lasts.
const EVERY: Duration = Duration::from_secs(10);
/// Where the meters alone are.
const METERS: &str = "/dashboard/meters";

/// The meters, as `children` when the page is loaded.
#[island]
pub fn LiveMeters(children: Children) -> impl IntoView {
    let meters = NodeRef::<Div>::new();
    Effect::new(move |_| {
        let _for_the_page_s_life = set_interval_with_handle(
            move || {
                if !document().hidden() {
                    leptos::task::spawn_local(async move {
                        // A look that fails changes nothing; there is another.
                        if let (Some(html), Some(meters)) = (look().await, meters.get_untracked()) {
                            meters.set_inner_html(&html);
                        }
                    });
                }
            },
            EVERY,
        );
    });
    view! { <div class="meters" node_ref=meters>{children()}</div> }
}

async fn look() -> Option<String> {
    let response = JsFuture::from(window().fetch_with_str(METERS)).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    // Signed out meanwhile, one is led to a page: that is no place for a page.
    if !response.ok() || response.redirected() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}
