//! `/signup?next=`

use leptos::prelude::*;
use leptos_meta::Title;
use server::auth::{PASSWORD_MIN, Visitor, safe_next};

use crate::components::{Field, FormError, see_other};
use crate::form_state::FormState;
use crate::query::{parameter, with_next};

/// Returns the page to continue to: `next` of the posted form or of the address.
pub fn next() -> Option<String> {
    let posted = use_context::<FormState>().and_then(|state| state.text_of("next").map(str::to_owned));
    posted.or_else(|| parameter("next")).filter(|next| !next.is_empty())
}

/// Returns `path`, with `next` if there is one.
pub fn keeping_next(path: &str, next: Option<&str>) -> String {
    next.map_or_else(|| path.to_owned(), |next| with_next(path, next))
}

#[component]
pub fn SignUp() -> impl IntoView {
    let next = next();
    if expect_context::<Visitor>().signed_in.is_some() {
        see_other(safe_next(next.as_deref()));
        return ().into_any();
    }
    let for_a_plan = next.as_deref().is_some_and(|next| next.starts_with("/pricing?plan="));
    let lead = if for_a_plan { "Next, you'll confirm the plan you chose." } else { "Free, no card required." };
    let log_in = keeping_next("/login", next.as_deref());
    view! {
        <Title text="Create your account"/>
        <div class="narrow">
            <div class="card form-card">
                <h1>"Create your account"</h1>
                <p class="lead">{lead}</p>
                <FormError/>
                <form method="post" action="/signup" novalidate aria-label="Create your account">
                    {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                    <Field name="email" label="E-mail" kind="email" autocomplete="email"/>
                    <Field name="password" label="Password" kind="password" autocomplete="new-password" hint=format!("At least {PASSWORD_MIN} characters.")/>
                    <button class="button button-primary button-wide" type="submit">"Create account"</button>
                </form>
            </div>
            <p class="form-other">"Already have an account? " <a href=log_in>"Log in"</a></p>
        </div>
    }
    .into_any()
}
