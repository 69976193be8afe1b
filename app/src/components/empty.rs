//! A place where something will be: it says what, and how it gets there.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};

/// An empty list.
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
