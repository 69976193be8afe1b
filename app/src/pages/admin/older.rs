//! The link to a table's next page.

use engine::store::Cursor;
use leptos::prelude::*;

use crate::query::{address, after_value};

/// A link to the rows after the last one shown; nothing on the last page.
#[component]
pub(super) fn Older(path: &'static str, kept: Vec<(&'static str, String)>, next: Option<Cursor>) -> impl IntoView {
    next.map(|next| {
        let place = after_value(&next);
        let mut parameters: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (*name, value.as_str())).collect();
        parameters.push(("after", &place));
        view! { <p class="actions"><a class="button" href=address(path, &parameters)>"Older"</a></p> }
    })
}
