//! The banner about the customer's subscription, with the action it needs. At most one is shown, the
//! most urgent (`each_state_of_a_subscription_has_a_banner_with_its_date`).

use billing::ledger::{Invoice, ReversalKind};
use billing::{Catalog, Money, Pause, PauseBehavior, PauseReason, Reason, Rule, Status, Subscription, Timestamp};
use engine::overview::BillingOverview;
use leptos::prelude::*;
use server::Tollgate;

use super::banner::{Banner, Tone};
use super::invoice_address::page_of;
use super::moment::Day;
use super::plan_name::plan_name;
use super::portal_button::PortalButton;

/// The days before the end of a trial during which the banner is a warning.
const TRIAL_ENDS_SOON: i64 = 3;

/// An unpaid amount, and the page where it can be paid.
#[derive(Clone)]
struct Debt {
    amount: Money,
    page: String,
    next_attempt: Option<Timestamp>,
}

impl Debt {
    fn of(invoice: &Invoice) -> Self {
        Self {
            amount: Money::new(invoice.amount_remaining, invoice.total.currency.clone()),
            page: page_of(&invoice.id),
            next_attempt: invoice.next_payment_attempt,
        }
    }
}

/// The banner about the subscription behind the entitlement, if its state needs one.
#[component]
pub fn SubscriptionNotice(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let subscription = overview.subscription?;
    let Reason::Subscription { id, status, rule } = overview.entitlement.reason.clone() else { return None };
    if id != subscription.id {
        return None;
    }
    let plan = plan_name(catalog, &subscription);
    let needs_action = overview.owed.as_ref().is_some_and(|owed| owed.needs_action);
    let is_pending = overview.owed.as_ref().is_some_and(|owed| owed.is_pending);
    let debt = overview.owed.map(|owed| Debt::of(&owed.invoice));
    if let Some(debt) = debt.clone().filter(|_| needs_action) {
        return Some(view! { <ConfirmPayment plan debt/> }.into_any());
    }
    let entitlement = &overview.entitlement;
    if let Some(debt) = debt.clone().filter(|_| is_pending) {
        return Some(view! { <BankAtWork plan debt has_access={entitlement.rank > 0}/> }.into_any());
    }
    let grace_end = subscription.grace_end(catalog);
    // After an upgrade that was not paid, the previous plan.
    let kept = catalog.plan(&entitlement.tier).map(|plan| plan.name.clone()).filter(|kept| *kept != plan);
    Some(match rule {
        Rule::PeriodPaid => match subscription.pause.clone() {
            Some(pause) => view! { <Paused plan pause/> }.into_any(),
            None if status == Status::Trialing => {
                view! { <Trial plan subscription catalog=catalog.clone() now=tollgate.now()/> }.into_any()
            }
            None => return None,
        },
        Rule::EndsLater => view! { <Ending plan subscription free=catalog.free().name.clone()/> }.into_any(),
        Rule::InGrace | Rule::PaidBefore => {
            let until = entitlement.until.unwrap_or(grace_end);
            view! { <InGrace plan kept until debt/> }.into_any()
        }
        Rule::GraceOver => view! { <GraceOver plan grace_end debt/> }.into_any(),
        Rule::Ended => return None,
        Rule::PaymentDisputed => view! { <Disputed plan subscription/> }.into_any(),
        Rule::PaymentRefunded => view! { <Refunded plan subscription/> }.into_any(),
        Rule::StalePeriod | Rule::UnknownStatus | Rule::UnknownPrice => view! { <UnderReview/> }.into_any(),
        Rule::PausedInPeriod => view! { <PausedPlan plan keeps=Some(subscription.period().end)/> }.into_any(),
        Rule::StatusGivesNothing => match status {
            Status::Incomplete => view! { <Incomplete plan debt/> }.into_any(),
            Status::Unpaid => view! { <Unpaid plan debt/> }.into_any(),
            Status::Paused => match subscription.paused {
                Some(PauseReason::PauseRequested | PauseReason::System) => {
                    view! { <PausedPlan plan keeps=None/> }.into_any()
                }
                _ => view! { <TrialWithoutCard plan/> }.into_any(),
            },
            _ => return None,
        },
    })
}

#[component]
fn ConfirmPayment(plan: String, debt: Debt) -> impl IntoView {
    view! {
        <Banner tone=Tone::Danger title=format!("Confirm your {} payment for {plan}.", debt.amount)>
            <p>"Your bank needs you to approve it on Stripe's page. It takes a moment."</p>
            <p class="actions"><a class="button button-primary" href=debt.page>"Confirm payment"</a></p>
        </Banner>
    }
}

/// The payment takes days, and paying again would charge the customer twice.
#[component]
fn BankAtWork(plan: String, debt: Debt, has_access: bool) -> impl IntoView {
    let then = if has_access { "" } else { " Access starts once it clears." };
    view! {
        <Banner tone=Tone::Info title=format!("Your bank is working on your {} payment for {plan}.", debt.amount)>
            <p>"Bank payments can take a few days. You don't need to do anything." {then}</p>
        </Banner>
    }
}

#[component]
fn Trial(plan: String, subscription: Subscription, catalog: Catalog, now: Timestamp) -> impl IntoView {
    let ends = subscription.trial_end.unwrap_or_else(|| subscription.period().end);
    let tone = if ends <= now.plus_days(TRIAL_ENDS_SOON) { Tone::Warning } else { Tone::Info };
    let terms = match subscription.price(&catalog) {
        Some(price) => {
            let price = format!("{}/{} from ", price.amount, price.interval);
            view! { {price} <Day at=ends/> ", unless you cancel before then." }.into_any()
        }
        None => view! { "It ends " <Day at=ends/> "." }.into_any(),
    };
    view! {
        <Banner tone title=format!("{plan} trial: {}.", time_left(ends, now))>
            <p>{terms}</p>
            <div class="actions"><PortalButton label="Update card or cancel"/></div>
        </Banner>
    }
}

/// Returns the days until `end`, rounded up.
fn time_left(end: Timestamp, now: Timestamp) -> String {
    match (end.0 - now.0 + 86_399).div_euclid(86_400) {
        ..=0 => "ending now".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    }
}

#[component]
fn Ending(plan: String, subscription: Subscription, free: String) -> impl IntoView {
    let ends = subscription.ends_at().unwrap_or_else(|| subscription.period().end);
    view! {
        <Banner tone=Tone::Warning title=format!("{plan} is canceled.")>
            <p>"You keep full access until " <Day at=ends/> {format!(", then move to {free}. You won't be charged again.")}</p>
            <div class="actions"><PortalButton label="Resume plan"/></div>
        </Banner>
    }
}

/// Only an operator can pause payments, so the customer has nothing to do.
#[component]
fn Paused(plan: String, pause: Pause) -> impl IntoView {
    let until = match pause.resumes_at {
        Some(at) => view! { "You won't be charged until " <Day at/> ". " }.into_any(),
        None => view! { "You won't be charged until we resume them. " }.into_any(),
    };
    let invoices = match pause.behavior {
        PauseBehavior::KeepAsDraft => "Invoices from the pause will be charged afterwards.",
        PauseBehavior::MarkUncollectible | PauseBehavior::Void => "Invoices from the pause won't be charged.",
        PauseBehavior::Unknown(_) => "",
    };
    view! {
        <Banner tone=Tone::Info title=format!("Payments for {plan} are paused.")>
            <p>{until} "You keep your plan. " {invoices}</p>
        </Banner>
    }
}

#[component]
fn InGrace(
    plan: String,
    #[prop(optional_no_strip)] kept: Option<String>,
    until: Timestamp,
    #[prop(optional_no_strip)] debt: Option<Debt>,
) -> impl IntoView {
    let title = match &debt {
        Some(debt) => format!("Your {} payment for {plan} failed.", debt.amount),
        None => format!("Your payment for {plan} failed."),
    };
    let retry = debt.as_ref().and_then(|debt| debt.next_attempt);
    view! {
        <Banner tone=Tone::Warning title>
            <p>
                {match kept {
                    Some(kept) => view! {
                        {format!("You keep {kept} until ")} <Day at=until/> {format!(". Pay now to get {plan}, or update your card and we'll charge it.")}
                    }
                    .into_any(),
                    None => view! {
                        "You have full access until " <Day at=until/> ". Pay now to keep it, or update your card and we'll charge it."
                    }
                    .into_any(),
                }}
                {retry.map(|at| view! { " We'll try again " <Day at/> "." })}
            </p>
            <WaysToPay debt/>
        </Banner>
    }
}

#[component]
fn GraceOver(plan: String, grace_end: Timestamp, #[prop(optional_no_strip)] debt: Option<Debt>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Danger title=suspended(&plan, debt.as_ref())>
            <p>"Your payment failed, and access ended " <Day at=grace_end/> "."</p>
            <WaysToPay debt/>
        </Banner>
    }
}

#[component]
fn Unpaid(plan: String, #[prop(optional_no_strip)] debt: Option<Debt>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Danger title=suspended(&plan, debt.as_ref())>
            <p>"Every payment attempt failed."</p>
            <WaysToPay debt/>
        </Banner>
    }
}

fn suspended(plan: &str, debt: Option<&Debt>) -> String {
    match debt {
        Some(debt) => format!("{plan} is suspended. Pay {} to restore it.", debt.amount),
        None => format!("{plan} is suspended. Update your card to restore it."),
    }
}

/// The bank decides a dispute, and only its customer can withdraw it.
#[component]
fn Disputed(plan: String, subscription: Subscription) -> impl IntoView {
    let is_open = subscription.current_reversals().any(|kind| kind == ReversalKind::Disputed);
    let what = if is_open {
        view! { "If you didn't mean to dispute it, ask your bank to withdraw the dispute. Your plan comes back when the dispute is decided in our favor." }
            .into_any()
    } else {
        view! { "Your bank returned the money to you. " <NextPayment subscription/> }.into_any()
    };
    view! {
        <Banner tone=Tone::Danger title=format!("{plan} is suspended because its payment was disputed.")>
            <p>{what}</p>
            <div class="actions"><PortalButton label="Manage billing"/></div>
        </Banner>
    }
}

#[component]
fn Refunded(plan: String, subscription: Subscription) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("Your payment for {plan} was refunded, and access has ended.")>
            <p><NextPayment subscription/></p>
            <div class="actions"><PortalButton label="Manage billing"/></div>
        </Banner>
    }
}

/// When a plan whose payment was returned comes back.
#[component]
fn NextPayment(subscription: Subscription) -> impl IntoView {
    match subscription.ends_at() {
        Some(_) => view! { "Your plan is canceled, and you won't be charged again." }.into_any(),
        None => {
            let renews = subscription.period().end;
            view! { "Your plan comes back with your next payment on " <Day at=renews/> ". To have it sooner, contact us." }
                .into_any()
        }
    }
}

#[component]
fn Incomplete(plan: String, #[prop(optional_no_strip)] debt: Option<Debt>) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("Your first payment for {plan} isn't complete.")>
            <p>"Your bank has to confirm it, or your card was declined. Complete the payment to start your plan."</p>
            <WaysToPay debt/>
        </Banner>
    }
}

#[component]
fn TrialWithoutCard(plan: String) -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title=format!("{plan} is paused.")>
            <p>"Your trial ended without a card. Add one to resume your plan."</p>
            <div class="actions"><PortalButton label="Add card" flow="card" is_primary=true/></div>
        </Banner>
    }
}

/// Only an operator can resume it.
#[component]
fn PausedPlan(plan: String, keeps: Option<Timestamp>) -> impl IntoView {
    let access = keeps.map(|end| view! { "You keep it until " <Day at=end/> ". " });
    view! {
        <Banner tone=Tone::Warning title=format!("{plan} is paused.")>
            <p>{access} "You aren't charged while it's paused. Contact us to resume it."</p>
        </Banner>
    }
}

#[component]
fn UnderReview() -> impl IntoView {
    view! {
        <Banner tone=Tone::Warning title="We're checking your subscription.">
            <p>"Stripe's data about it is incomplete. You don't need to do anything. If you still see this tomorrow, contact us."</p>
        </Banner>
    }
}

/// The buttons for paying an unpaid amount: on the invoice's page, or by updating the card.
#[component]
fn WaysToPay(#[prop(optional_no_strip)] debt: Option<Debt>) -> impl IntoView {
    let can_pay = debt.is_some();
    view! {
        <div class="actions">
            {debt.map(|debt| view! { <a class="button button-primary" href=debt.page>{format!("Pay {}", debt.amount)}</a> })}
            <PortalButton label="Update card" flow="card" is_primary=!can_pay/>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_left_are_rounded_up() {
        let now = Timestamp(1_795_442_700);
        assert_eq!(time_left(now.plus_days(14), now), "14 days left");
        assert_eq!(time_left(now.plus_days(1).plus_seconds(1), now), "2 days left");
        assert_eq!(time_left(now.plus_seconds(60), now), "1 day left");
        assert_eq!(time_left(now, now), "ending now");
    }
}
