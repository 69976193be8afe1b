//! A [`Failure`] as a page.

use axum::http::request::Parts;
use leptos::prelude::*;
use leptos_meta::Title;
use server::auth::Visitor;

use crate::failure::Failure;

/// The page for a failure, with a link to continue.
#[component]
pub fn FailureView(failure: Failure) -> impl IntoView {
    let is_signed_in = use_context::<Visitor>().is_some_and(|visitor| visitor.signed_in.is_some());
    let (home, name) = if is_signed_in { ("/dashboard", "Go to dashboard") } else { ("/", "Go to home page") };
    let code = (failure == Failure::Broken).then(request_id).flatten();
    view! {
        <Title text=failure.title()/>
        <div class="narrow failure">
            <p class="failure-code">{failure.status().as_u16()}</p>
            <h1>{failure.title()}</h1>
            <p class="lead">{failure.message()} {code.map(|code| format!(" If it persists, send us code {code}."))}</p>
            <p class="actions">
                <a class="button button-primary" href=home>{name}</a>
                <a class="button" href="/pricing">"See plans"</a>
            </p>
        </div>
    }
}

/// Returns the request's id, which is also in the log.
fn request_id() -> Option<String> {
    let parts = use_context::<Parts>()?;
    parts.headers.get("x-request-id")?.to_str().ok().map(str::to_owned)
}
