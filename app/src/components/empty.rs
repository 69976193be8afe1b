//! The placeholder of an empty list: its future content, and how to add the first entry.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};

/// The text and icon of an empty list.
#[component]
pub fn Empty(glyph: Glyph, #[prop(into)] title: String, children: Children) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon glyph/>
            <p class="empty-title">{title}</p>
            <p class="quiet">{children()}</p>
        </div>
    }
}
