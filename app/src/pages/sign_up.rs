//! `/signup`

use leptos::prelude::*;
use leptos_meta::Title;
use server::auth::{Visitor, safe_next};

use crate::components::{Field, Refusal, see_other};
use crate::form_state::FormState;
use crate::query::{parameter, with_next};

/// Where the form's `next` goes on: what was posted, or what the address says.
pub fn next() -> Option<String> {
    let posted = use_context::<FormState>().and_then(|state| state.text_of("next").map(str::to_owned));
    posted.or_else(|| parameter("next")).filter(|next| !next.is_empty())
}

/// `path`, with `next` behind it when there is one.
pub fn keeping_next(path: &str, next: Option<&str>) -> String {
    next.map_or_else(|| path.to_owned(), |next| with_next(path, next))
}

/// An account, with nothing but an address and a password.
#[component]
pub fn SignUp() -> impl IntoView {
    let next = next();
    if expect_context::<Visitor>().signed_in.is_some() {
        see_other(safe_next(next.as_deref()));
        return ().into_any();
    }
    let for_a_plan = next.as_deref().is_some_and(|next| next.starts_with("/pricing?plan="));
    let lead = if for_a_plan { "Then on to the plan you chose." } else { "Free, and no card is needed." };
    let log_in = keeping_next("/login", next.as_deref());
    view! {
        <Title text="Create your account"/>
        <div class="narrow">
            <div class="card form-card">
                <h1>"Create your account"</h1>
                <p class="lead">{lead}</p>
                <Refusal/>
                <form method="post" action="/signup" novalidate aria-label="Create your account">
                    {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                    <Field name="email" label="E-mail" kind="email" autocomplete="email"/>
                    <Field name="password" label="Password" kind="password" autocomplete="new-password" hint="At least 8 characters."/>
                    <button class="button button-primary button-wide" type="submit">"Create account"</button>
                </form>
            </div>
            <p class="form-other">"Do you have an account? " <a href=log_in>"Log in to it"</a></p>
        </div>
    }
    .into_any()
}
