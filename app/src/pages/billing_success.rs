//! `/billing/success?session_id=`: where Checkout redirects to. It fetches from Stripe, so it is
//! correct before any webhook arrives. Once the account's quota of requests to Stripe is used up, it shows what is
//! stored, and updates itself.

use billing::ledger::Purchase;
use engine::checkout::{self, CheckoutOutcome};
use leptos::prelude::*;
use server::Tollgate;

use crate::caller::Caller;
use crate::components::{Day, Glyph, Icon, purchase_grants, purchase_title, signed_in_page};
use crate::failure::Failure;
use crate::islands::AwaitPayment;
use crate::query::parameter;

/// The outcome of one of the account's Checkout sessions; 404 for any other.
#[component]
pub fn Success() -> impl IntoView {
    let session_id = parameter("session_id").unwrap_or_default();
    signed_in_page("Your payment", move |Caller { tollgate, permit, .. }| async move {
        let account = permit.account_id();
        let outcome = match tollgate.stripe_quota().take(account, tollgate.now()) {
            Ok(()) => checkout::outcome(&tollgate, account, &session_id).await.map_err(Failure::checkout)?,
            Err(_) => checkout::stored_outcome(&tollgate, account, &session_id).await.map_err(Failure::store)?,
        };
        let outcome = outcome.ok_or(Failure::NotFound)?;
        Ok(view! { <Outcome tollgate outcome session_id/> }.into_any())
    })
}

#[component]
fn Outcome(tollgate: Tollgate, outcome: CheckoutOutcome, session_id: String) -> impl IntoView {
    match outcome {
        CheckoutOutcome::Subscribed { tier, trial_end, renews_at } => {
            let catalog = tollgate.catalog();
            let name = catalog.plan(&tier).map_or_else(|| tier.to_string(), |plan| plan.name.clone());
            let next = match trial_end.filter(|end| *end > tollgate.now()) {
                Some(end) => {
                    view! { "Your trial ends " <Day at=end/> ". Cancel before then and you won't be charged." }
                        .into_any()
                }
                None => view! { "Your plan renews " <Day at=renews_at/> "." }.into_any(),
            };
            view! {
                <div class="narrow outcome outcome-good">
                    <Icon glyph=Glyph::Check/>
                    <h1>{format!("Welcome to {name}")}</h1>
                    <p class="lead">{next}</p>
                    <p class="actions">
                        <a class="button button-primary" href="/dashboard">"Go to dashboard"</a>
                        <a class="button" href="/billing">"Go to billing"</a>
                    </p>
                </div>
            }
            .into_any()
        }
        CheckoutOutcome::Bought(purchase) => view! { <Bought tollgate purchase/> }.into_any(),
        CheckoutOutcome::PaymentPending(purchase) => {
            let what = purchase_title(&purchase, tollgate.catalog());
            view! { <BankAtWork then=format!("Once your payment clears, you get {what}.")/> }.into_any()
        }
        CheckoutOutcome::PlanPending(tier) => {
            let plan = tollgate.catalog().plan(&tier).map_or_else(|| tier.to_string(), |plan| plan.name.clone());
            view! { <BankAtWork then=format!("Your billing page shows when {plan} is paid.")/> }.into_any()
        }
        CheckoutOutcome::Unconfirmed => {
            let again = again(&session_id);
            view! {
                <noscript><meta http-equiv="refresh" content="5"/></noscript>
                <div class="narrow outcome">
                    <Icon glyph=Glyph::Receipt/>
                    <h1>"Your payment is pending"</h1>
                    <p class="lead">"We're waiting for confirmation. Some payment methods take a few days. Once your payment clears, your purchase is ready; you don't need to do anything."</p>
                    <AwaitPayment/>
                    <p class="actions">
                        <a class="button button-primary" href=again>"Check again"</a>
                        <a class="button" href="/billing">"Go to billing"</a>
                    </p>
                </div>
            }
            .into_any()
        }
        CheckoutOutcome::Open { url } => view! {
            <div class="narrow outcome">
                <Icon glyph=Glyph::Receipt/>
                <h1>"Your payment isn't complete"</h1>
                <p class="lead">"You haven't been charged. Your checkout is still open."</p>
                <p class="actions">
                    <a class="button button-primary" href=url>"Continue to payment"</a>
                    <a class="button" href="/billing">"Go to billing"</a>
                </p>
            </div>
        }
        .into_any(),
        CheckoutOutcome::Expired => view! {
            <div class="narrow outcome">
                <Icon glyph=Glyph::Alert/>
                <h1>"This checkout expired"</h1>
                <p class="lead">"You weren't charged. You can start again whenever you like."</p>
                <p class="actions">
                    <a class="button button-primary" href="/pricing">"See plans"</a>
                    <a class="button" href="/billing">"Go to billing"</a>
                </p>
            </div>
        }
        .into_any(),
    }
}

/// The bank's work takes days, and the customer has nothing to do.
#[component]
fn BankAtWork(then: String) -> impl IntoView {
    view! {
        <div class="narrow outcome">
            <Icon glyph=Glyph::Receipt/>
            <h1>"Your payment is pending"</h1>
            <p class="lead">
                {format!("Your bank is working on it, which can take a few days. {then} You don't need to do anything.")}
            </p>
            <p class="actions">
                <a class="button button-primary" href="/billing">"Go to billing"</a>
                <a class="button" href="/dashboard">"Go to dashboard"</a>
            </p>
        </div>
    }
}

#[component]
fn Bought(tollgate: Tollgate, purchase: Purchase) -> impl IntoView {
    let what = purchase_title(&purchase, tollgate.catalog());
    let text = purchase_grants(&purchase, tollgate.catalog())
        .map(|credits| format!("{credits} were added to your account. They're used after your plan's limit."));
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>{format!("{what}: paid")}</h1>
            {text.map(|text| view! { <p class="lead">{text}</p> })}
            <p class="actions">
                <a class="button button-primary" href="/dashboard">"Go to dashboard"</a>
                <a class="button" href="/billing">"Go to billing"</a>
            </p>
        </div>
    }
}

fn again(session_id: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(session_id.as_bytes()).collect();
    format!("/billing/success?session_id={id}")
}
