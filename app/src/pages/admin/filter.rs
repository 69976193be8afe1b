//! The filter above a table.

use leptos::prelude::*;

/// A form that reloads the page with its fields in the address.
#[component]
pub(super) fn FilterForm(
    action: &'static str,
    #[prop(into)] label: String,
    #[prop(default = "Filter")] button: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <form class="filter" method="get" action=action role="search" aria-label=label>
            {children()}
            <button class="button" type="submit">{button}</button>
        </form>
    }
}

/// A dropdown of values, or any.
#[component]
pub(super) fn Choice(
    name: &'static str,
    label: &'static str,
    /// The values in the address.
    values: Vec<&'static str>,
    #[prop(optional_no_strip)] chosen: Option<&'static str>,
) -> impl IntoView {
    let options = values.into_iter().map(|value| {
        view! { <option value=value selected=chosen == Some(value)>{value.replace('_', " ")}</option> }
    });
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select id=name name=name>
                <option value="">"any"</option>
                {options.collect_view()}
            </select>
        </div>
    }
}

/// A search field.
#[component]
pub(super) fn Search(
    name: &'static str,
    label: &'static str,
    #[prop(into)] value: String,
    placeholder: &'static str,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <input id=name name=name type="search" value=value placeholder=placeholder/>
        </div>
    }
}
