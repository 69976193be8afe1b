//! `/account`: the user's login, and account deletion.

use engine::overview;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::api::CloseAccount;
use crate::caller::Caller;
use crate::components::{Field, FormError, Heading, signed_in_page};
use crate::failure::Failure;

/// The login address, and the form that deletes the account.
#[component]
pub fn Account() -> impl IntoView {
    signed_in_page("Account", |Caller { tollgate, who, permit }| async move {
        let overview =
            overview::overview(&tollgate, permit.account_id(), permit.entitlement()).await.map_err(Failure::store)?;
        let running = overview.subscription.is_some_and(|subscription| !subscription.status.has_ended());
        let consequence = match (running, tollgate.catalog().metered_prices().next().is_some()) {
            (false, _) => "You won't be charged again.",
            (true, false) => {
                "Your subscription ends immediately and you won't be charged again. The rest of the period isn't refunded."
            }
            (true, true) => {
                "Your subscription ends immediately, and the rest of the period isn't refunded. You get a last invoice for usage beyond your limits that isn't billed yet, and won't be charged again."
            }
        };
        Ok(view! {
            <Heading title="Account"/>
            <FormError/>
            <section class="card" aria-labelledby="sign-in-title">
                <h2 id="sign-in-title">"Login"</h2>
                <dl class="facts">
                    <div><dt>"E-mail"</dt><dd>{who.email}</dd></div>
                </dl>
            </section>
            <section class="card" aria-labelledby="close-title">
                <h2 id="close-title">"Delete account"</h2>
                <p>{consequence} " Your API keys, domain and messages are deleted. Your e-mail address and name are erased here and in Stripe. We keep invoices and payments as required by law, and a hash that prevents a second free trial. This can't be undone."</p>
                <form method="post" action=CloseAccount::url() novalidate aria-labelledby="close-title">
                    <Field name="password" label="Your password" kind="password" autocomplete="current-password" hint="Confirm it's you."/>
                    <button class="button button-danger" type="submit">"Delete account"</button>
                </form>
            </section>
        }
        .into_any())
    })
}
