//! What the customer has to know or do about their subscription, as one banner: at most
//! one is shown, the most urgent (`each_state_of_a_subscription_is_said_with_its_date`).

use billing::ledger::Invoice;
use billing::{Catalog, Money, Pause, PauseBehavior, Reason, Rule, Status, Subscription, Timestamp};
use engine::overview::BillingOverview;
use leptos::prelude::*;
use server::Tollgate;

use super::banner::{Banner, Tone};
use super::invoice_address::page_of;
use super::moment::Moment;
use super::plan_name::plan_name;
use super::portal_button::PortalButton;

/// Days before its end from which a trial asks for attention.
const TRIAL_ENDS_SOON: i64 = 3;

/// The banner of the subscription that decides, if its state asks for one.
#[component]
pub fn SubscriptionNotice(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let subscription = overview.subscription?;
    let Reason::Subscription { id, status, rule } = overview.entitlement.reason else { return None };
    if id != subscription.id {
        return None;
    }
    let plan = plan_name(catalog, &subscription);
    let pay = overview.owed.as_ref().map(|owed| page_of(&owed.invoice.id));
    if let Some(owed) = overview.owed.filter(|owed| owed.needs_action) {
        return Some(view! { <ConfirmPayment plan invoice=owed.invoice/> }.into_any());
    }
    let grace_end = subscription.grace_end(catalog);
    Some(match rule {
        Rule::PeriodPaid => match subscription.pause.clone() {
            Some(pause) => view! { <Paused plan pause/> }.into_any(),
            None if status == Status::Trialing => {
                view! { <Trial plan subscription catalog=catalog.clone() now=tollgate.now()/> }.into_any()
            }
            None => return None,
        },
        Rule::EndsLater => view! { <Ending plan subscription/> }.into_any(),
        Rule::InGrace => view! { <InGrace plan grace_end pay/> }.into_any(),
        Rule::GraceOver => view! { <GraceOver plan grace_end pay/> }.into_any(),
        Rule::Ended => return None,
        Rule::StalePeriod | Rule::UnknownStatus | Rule::UnknownPrice => view! { <BeingChecked/> }.into_any(),
        Rule::StatusGivesNothing => match status {
            Status::Incomplete => view! { <Incomplete plan pay/> }.into_any(),
            Status::Unpaid => view! { <Unpaid plan pay/> }.into_any(),
            Status::Paused => view! { <TrialWithoutCard plan/> }.into_any(),
            _ => return None,
        },
    })
}

#[component]
fn ConfirmPayment(plan: String, invoice: Invoice) -> impl IntoView {
    let amount = Money::new(invoice.amount_remaining, invoice.total.currency.clone());
    view! {
        <Banner tone=Tone::Danger title=format!("Your bank asks you to confirm {amount} for {plan}.")>
            <p>"The payment waits for you. Confirm it on Stripe's page; it takes a moment."</p>
            <p class="actions"><a class="button button-primary" href=page_of(&invoice.id)>"Confirm the payment"</a></p>
        </Banner>
    }
}

#[component]
fn Trial(plan: String, subscription: Subscription, catalog: Catalog, now: Timestamp) -> impl IntoView {
    let ends = subscription.trial_end.unwrap_or_else(|| subscription.period().end);
    let due = subscription.price(&catalog).map(|price| format!("{} per {}", price.amount, price.interval));
    let (tone, title) = if ends <= now.plus_days(TRIAL_ENDS_SOON) {
        (Tone::Warning, format!("Your free trial of {plan} ends soon."))
    } else {
        (Tone::Info, format!("Your free trial of {plan} is running."))
    };
    view! {
        <Banner tone title>
            <p>
                "It ends on " <Moment at=ends/> ". "
                {due.map(|due| format!("Then {plan} goes on for {due}, unless you cancel before."))}
            </p>
            <div class="actions"><PortalButton label="Change card or cancel"/></div>
        </Banner>
    }
}

#[component]
fn Ending(plan: String, subscription: Subscription) -> impl IntoView {
    let ends = subscription.ends_at().unwrap_or_else(|| subscription.period().end);
    view! {
        <Banner tone=Tone::Warning title=format!("{plan} is cancelled.")>
            <p>"Everything stays open until " <Moment at=ends/> ". Then your account is on the free plan. Nothing more is charged."</p>
            <div class="actions"><PortalButton label="Keep the plan"/></div>
        </Banner>
    }
}

/// Payments are paused, which only an operator can do: there is nothing for the customer to do.
#[component]
fn Paused(plan: String, pause: Pause) -> impl IntoView {
    let until = match pause.resumes_at {
        Some(at) => view! { "Nothing is charged until " <Moment at/> ". " }.into_any(),
        None => view! { "Nothing is charged until we go on with it. " }.into_any(),
    };
    let meanwhile = match pause.behavior {
        PauseBehavior::KeepAsDraft => "What falls due meanwhile is charged then.",
        PauseBehavior::MarkUncollectible | PauseBehavior::Void => {
            "What falls due meanwhile is not charged later either."
        }
        PauseBehavior::Unknown(_) => "",
    };
    view! {
        <Banner tone=Tone::Info title=format!("Payments for {plan} are paused.")>
            <p>{until} "The plan stays as it is. " {meanwhile}</p>
        </Banner>
    }
}

#[component]
fn InGrace(plan: String, grace_end: Timestamp, pay: Option<String>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("The last payment for {plan} failed.")>
            <p>"Everything stays open until " <Moment at=grace_end/> ". Pay, or give us another card, before then."</p>
            <WaysToPay pay/>
        </Banner>
    }
}

#[component]
fn GraceOver(plan: String, grace_end: Timestamp, pay: Option<String>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Danger title=format!("{plan} is closed because a payment failed.")>
            <p>"It was open until " <Moment at=grace_end/> ". Pay what is owed and it opens again at once."</p>
            <WaysToPay pay/>
        </Banner>
    }
}

#[component]
fn Incomplete(plan: String, pay: Option<String>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("The first payment for {plan} is not finished.")>
            <p>"Your bank has to confirm it, or the card was declined. Finish the payment and the plan opens."</p>
            <WaysToPay pay/>
        </Banner>
    }
}

#[component]
fn Unpaid(plan: String, pay: Option<String>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Danger title=format!("{plan} is unpaid and closed.")>
            <p>"All attempts to collect the payment failed. Pay what is owed and it opens again."</p>
            <WaysToPay pay/>
        </Banner>
    }
}

#[component]
fn TrialWithoutCard(plan: String) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("{plan} is paused.")>
            <p>"The trial ended without a card. Add one and the plan goes on."</p>
            <div class="actions"><PortalButton label="Add a card" flow="card" is_primary=true/></div>
        </Banner>
    }
}

#[component]
fn BeingChecked() -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title="We are checking your subscription.">
            <p>"What Stripe tells us about it does not add up yet. Nothing for you to do; if this stays for a day, write to us."</p>
        </Banner>
    }
}

/// The two ways to pay what is owed: on the invoice's page, or with another card.
#[component]
fn WaysToPay(pay: Option<String>) -> impl IntoView {
    let has_page = pay.is_some();
    view! {
        <div class="actions">
            {pay.map(|pay| view! { <a class="button button-primary" href=pay>"Pay now"</a> })}
            <PortalButton label="Change the card" flow="card" is_primary=!has_page/>
        </div>
    }
}
