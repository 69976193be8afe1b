//! `/billing/success?session_id=`: where Stripe sends people back to. It asks Stripe
//! itself and so is right before any webhook has come.

use billing::ledger::Purchase;
use engine::checkout::{self, CheckoutOutcome};
use leptos::prelude::*;
use server::Tollgate;

use crate::caller::Caller;
use crate::components::{Glyph, Icon, Moment, signed_in_page, what_it_grants, what_was_bought};
use crate::failure::Failure;
use crate::islands::AwaitPayment;
use crate::query::parameter;

/// What became of a Checkout session of theirs; somebody else's is a page that does not exist.
#[component]
pub fn Success() -> impl IntoView {
    let session_id = parameter("session_id").unwrap_or_default();
    signed_in_page("Your payment", move |Caller { tollgate, permit, .. }| async move {
        let outcome =
            checkout::outcome(&tollgate, permit.account_id(), &session_id).await.map_err(Failure::checkout)?;
        let outcome = outcome.ok_or(Failure::NotFound)?;
        Ok(view! { <Said tollgate outcome session_id/> }.into_any())
    })
}

#[component]
fn Said(tollgate: Tollgate, outcome: CheckoutOutcome, session_id: String) -> impl IntoView {
    match outcome {
        CheckoutOutcome::Subscribed { tier, trial_end, renews_at } => {
            let catalog = tollgate.catalog();
            let name = catalog.plan(&tier).map_or_else(|| tier.to_string(), |plan| plan.name.clone());
            let next = match trial_end.filter(|end| *end > tollgate.now()) {
                Some(end) => {
                    view! { "Your free trial runs until " <Moment at=end/> ". You can cancel any time before." }
                        .into_any()
                }
                None => view! { "It renews on " <Moment at=renews_at/> ". A receipt is on its way to your inbox." }
                    .into_any(),
            };
            view! {
                <div class="narrow outcome outcome-good">
                    <Icon glyph=Glyph::Check/>
                    <h1>{format!("You are on {name}")}</h1>
                    <p class="lead">{next}</p>
                    <p class="actions">
                        <a class="button button-primary" href="/dashboard">"Go to the dashboard"</a>
                        <a class="button" href="/billing">"See your billing"</a>
                    </p>
                </div>
            }
            .into_any()
        }
        CheckoutOutcome::Bought(purchase) => view! { <Bought tollgate purchase/> }.into_any(),
        CheckoutOutcome::PaymentPending(purchase) => {
            let what = what_was_bought(&purchase, tollgate.catalog());
            view! {
                <div class="narrow outcome">
                    <Icon glyph=Glyph::Receipt/>
                    <h1>"Your payment is on its way"</h1>
                    <p class="lead">
                        {format!("Banks take a few days. As soon as the money has come, {what} is yours; there is nothing more for you to do.")}
                    </p>
                    <p class="actions">
                        <a class="button button-primary" href="/billing">"See your billing"</a>
                        <a class="button" href="/dashboard">"Go to the dashboard"</a>
                    </p>
                </div>
            }
            .into_any()
        }
        CheckoutOutcome::Unconfirmed => {
            let again = again(&session_id);
            view! {
                <noscript><meta http-equiv="refresh" content="5"/></noscript>
                <div class="narrow outcome">
                    <Icon glyph=Glyph::Receipt/>
                    <h1>"Your payment is on its way"</h1>
                    <p class="lead">"The payment is not confirmed yet. Some ways of paying take a few days; what you chose is yours as soon as it is, without another step."</p>
                    <AwaitPayment/>
                    <p class="actions">
                        <a class="button button-primary" href=again>"Check again"</a>
                        <a class="button" href="/billing">"See your billing"</a>
                    </p>
                </div>
            }
            .into_any()
        }
        CheckoutOutcome::Open { url } => view! {
            <div class="narrow outcome">
                <Icon glyph=Glyph::Receipt/>
                <h1>"Your payment is not finished"</h1>
                <p class="lead">"Nothing was charged. The payment page is still open for you."</p>
                <p class="actions">
                    <a class="button button-primary" href=url>"Go on with the payment"</a>
                    <a class="button" href="/billing">"See your billing"</a>
                </p>
            </div>
        }
        .into_any(),
        CheckoutOutcome::Expired => view! {
            <div class="narrow outcome">
                <Icon glyph=Glyph::Alert/>
                <h1>"That payment page has closed"</h1>
                <p class="lead">"It was open for a day. Nothing was charged; choose again to get a new one."</p>
                <p class="actions">
                    <a class="button button-primary" href="/pricing">"See the plans"</a>
                    <a class="button" href="/billing">"See your billing"</a>
                </p>
            </div>
        }
        .into_any(),
    }
}

#[component]
fn Bought(tollgate: Tollgate, purchase: Purchase) -> impl IntoView {
    let what = what_was_bought(&purchase, tollgate.catalog());
    let said = what_it_grants(&purchase, tollgate.catalog()).map(|granted| {
        format!("{granted} were added to your account. They are used when your plan's own are used up.")
    });
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>{format!("{what}: paid")}</h1>
            {said.map(|said| view! { <p class="lead">{said}</p> })}
            <p class="actions">
                <a class="button button-primary" href="/dashboard">"Go to the dashboard"</a>
                <a class="button" href="/billing">"See your billing"</a>
            </p>
        </div>
    }
}

fn again(session_id: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(session_id.as_bytes()).collect();
    format!("/billing/success?session_id={id}")
}
