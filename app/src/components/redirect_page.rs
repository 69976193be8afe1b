//! A page that continues to another address automatically.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};

use super::icon::{Glyph, Icon};

/// Continues to `address` automatically, with a link as a fallback.
#[component]
pub fn RedirectPage(address: String) -> impl IntoView {
    let refresh = format!("0; url={address}");
    view! {
        <Title text="One moment"/>
        <Meta http_equiv="refresh" content=refresh/>
        <div class="narrow outcome">
            <Icon glyph=Glyph::Receipt/>
            <h1>"One moment"</h1>
            <p class="lead">"If the next page doesn't open by itself, continue here."</p>
            <p class="actions">
                <a class="button button-primary" href=address>"Continue"</a>
            </p>
        </div>
    }
}
