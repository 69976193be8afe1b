//! `/account`: who one is here, and the way out.

use engine::overview;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::api::CloseAccount;
use crate::caller::Caller;
use crate::components::{Field, Heading, Refusal, signed_in_page};
use crate::failure::Failure;

/// The address one signs in with, and closing the account.
#[component]
pub fn Account() -> impl IntoView {
    signed_in_page("Account", |Caller { tollgate, who, permit }| async move {
        let overview =
            overview::overview(&tollgate, permit.account_id(), permit.entitlement()).await.map_err(Failure::store)?;
        let running = overview.subscription.is_some_and(|subscription| !subscription.status.has_ended());
        let consequence = if running {
            "Your subscription ends at once and nothing more is charged; what is left of the period is not paid back."
        } else {
            "Nothing is charged any more."
        };
        Ok(view! {
            <Heading title="Account"/>
            <Refusal/>
            <section class="card" aria-labelledby="sign-in-title">
                <h2 id="sign-in-title">"Sign-in"</h2>
                <dl class="facts">
                    <div><dt>"E-mail"</dt><dd>{who.email}</dd></div>
                </dl>
            </section>
            <section class="card" aria-labelledby="close-title">
                <h2 id="close-title">"Close the account"</h2>
                <p>{consequence} " Your keys, domain and messages are deleted. Invoices and payments are kept, as the law asks. This cannot be undone."</p>
                <form method="post" action=CloseAccount::url() novalidate aria-labelledby="close-title">
                    <Field name="password" label="Your password" kind="password" autocomplete="current-password" hint="To be sure that it is you."/>
                    <button class="button button-danger" type="submit">"Close the account for good"</button>
                </form>
            </section>
        }
        .into_any())
    })
}
