//! The footer of every page, with the color scheme switch.

use axum::http::request::Parts;
use leptos::prelude::*;

use super::icon::{Glyph, Icon};
use crate::addresses;
use crate::theme::Theme;

#[component]
pub fn SiteFooter() -> impl IntoView {
    view! {
        <footer class="site-footer">
            <div class="site-bar">
                <p class="quiet">"Payments by Stripe. All times are UTC."</p>
                <ThemeSwitch/>
            </div>
        </footer>
    }
}

#[component]
fn ThemeSwitch() -> impl IntoView {
    let current = use_context::<Theme>().unwrap_or_default();
    let here = use_context::<Parts>()
        .filter(|parts| addresses::is_page(parts.uri.path()))
        .and_then(|parts| parts.uri.path_and_query().map(ToString::to_string))
        .unwrap_or_else(|| "/".to_owned());
    let button = move |theme: Theme| {
        let (glyph, name) = match theme {
            Theme::Light => (Glyph::Sun, "Light"),
            Theme::Dark => (Glyph::Moon, "Dark"),
            Theme::Auto => (Glyph::Half, "Automatic"),
        };
        let is_pressed = if theme == current { "true" } else { "false" };
        view! {
            <button type="submit" name="theme" value=theme.as_str() aria-pressed=is_pressed title=name>
                <Icon glyph/>
                <span class="visually-hidden">{name}</span>
            </button>
        }
    };
    view! {
        <form method="post" action="/theme">
            <input type="hidden" name="next" value=here/>
            <fieldset class="theme-switch">
                <legend class="visually-hidden">"Color scheme"</legend>
                {Theme::ALL.into_iter().map(button).collect_view()}
            </fieldset>
        </form>
    }
}
