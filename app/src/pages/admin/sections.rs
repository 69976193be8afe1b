//! The tabs of the operators' section.

use axum::http::request::Parts;
use leptos::prelude::*;

const SECTIONS: [(&str, &str); 5] = [
    ("/admin", "Overview"),
    ("/admin/events", "Events"),
    ("/admin/accounts", "Accounts"),
    ("/admin/changes", "Changes"),
    ("/admin/drift", "Drift"),
];

/// Links to the pages of this section, with the current one marked.
#[component]
pub(super) fn Sections() -> impl IntoView {
    let here = use_context::<Parts>().map(|parts| parts.uri.path().to_owned()).unwrap_or_default();
    let links = SECTIONS
        .into_iter()
        .map(|(href, name)| {
            // An event or an account is shown under its own address: `/admin/event`.
            let is_here = here == href || (here != "/admin" && href.starts_with(here.as_str()));
            view! { <li><a href=href aria-current=is_here.then_some("page")>{name}</a></li> }
        })
        .collect_view();
    view! {
        <nav class="switch" aria-label="Operations">
            <ul>{links}</ul>
        </nav>
    }
}
