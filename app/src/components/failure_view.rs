//! A [`Failure`] as a page.

use leptos::prelude::*;
use leptos_meta::Title;
use server::auth::Visitor;

use crate::failure::Failure;

/// What happened, what to do, and where to go from here.
#[component]
pub fn FailureView(failure: Failure) -> impl IntoView {
    let is_signed_in = use_context::<Visitor>().is_some_and(|visitor| visitor.signed_in.is_some());
    let (home, name) = if is_signed_in { ("/dashboard", "Go to the dashboard") } else { ("/", "Go to the start page") };
    view! {
        <Title text=failure.title()/>
        <div class="narrow failure">
            <p class="failure-code">{failure.status().as_u16()}</p>
            <h1>{failure.title()}</h1>
            <p class="lead">{failure.sentence()}</p>
            <p class="actions">
                <a class="button button-primary" href=home>{name}</a>
                <a class="button" href="/pricing">"See the plans"</a>
            </p>
        </div>
    }
}
