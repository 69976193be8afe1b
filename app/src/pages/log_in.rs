//! `/login?next=`

use leptos::prelude::*;
use leptos_meta::Title;
use server::auth::{Visitor, safe_next};

use super::sign_up::{keeping_next, next};
use crate::components::{Field, FormError, see_other};

#[component]
pub fn LogIn() -> impl IntoView {
    let next = next();
    if expect_context::<Visitor>().signed_in.is_some() {
        see_other(safe_next(next.as_deref()));
        return ().into_any();
    }
    let sign_up = keeping_next("/signup", next.as_deref());
    view! {
        <Title text="Log in"/>
        <div class="narrow">
            <div class="card form-card">
                <h1>"Log in"</h1>
                <FormError/>
                <form method="post" action="/login" novalidate aria-label="Log in">
                    {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                    <Field name="email" label="E-mail" kind="email" autocomplete="username"/>
                    <Field name="password" label="Password" kind="password" autocomplete="current-password"/>
                    <button class="button button-primary button-wide" type="submit">"Log in"</button>
                </form>
            </div>
            <p class="form-other">"New here? " <a href=sign_up>"Create an account"</a></p>
        </div>
    }
    .into_any()
}
