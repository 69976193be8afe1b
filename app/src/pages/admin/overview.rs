//! `/admin`: an overview of billing.

use billing::Timestamp;
use billing::money::grouped;
use engine::store::accounts::PaymentFilter;
use engine::store::billing_changes::{ChangeState, Failing};
use engine::store::count_text;
use engine::store::drift::{DriftState, OpenCount, Run};
use engine::store::inbox::{PostponedEvents, StateCount};
use leptos::prelude::*;
use server::admin::overview;

use super::drift::{CompareNow, LastRun, kind_text};
use super::sections::Sections;
use crate::caller::Operator;
use crate::components::{Banner, EventBadge, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::address;

/// Events by state, differences from Stripe, and failing billing changes.
#[component]
pub fn Overview() -> impl IntoView {
    operator_page("Operations", move |Operator { tollgate, permit }| async move {
        let overview = overview::overview(&tollgate, &permit).await.map_err(Failure::store)?;
        Ok(view! {
            <Heading title="Operations"/>
            <Sections/>
            <StripeOutage postponed=overview.postponed/>
            <FailingChanges failing=overview.failing_changes/>
            <Disputes disputed=overview.disputed/>
            <Reversals reversed=overview.reversed/>
            <div class="split">
                <Events counts=overview.events oldest=overview.oldest_pending/>
                <Drift run=overview.last_run open=overview.drift/>
            </div>
        }
        .into_any())
    })
}

/// Says that events wait for Stripe, and why.
#[component]
fn StripeOutage(postponed: PostponedEvents) -> impl IntoView {
    let (since, reason) = postponed.since.map(Timestamp).zip(postponed.reason)?;
    let title = match postponed.events {
        1 => "An event is waiting for Stripe.".to_owned(),
        events => format!("{} events are waiting for Stripe.", count_text(events)),
    };
    Some(view! {
        <Banner tone=Tone::Warning title>
            <p>"They're applied as soon as Stripe responds. The oldest is from " <Moment at=since/> "."</p>
            <p class="quiet">{reason}</p>
        </Banner>
    })
}

#[component]
fn FailingChanges(failing: Failing) -> impl IntoView {
    let oldest = failing.oldest?;
    let href = address("/admin/changes", &[("state", ChangeState::Pending.as_str())]);
    let title = match failing.count {
        1 => "A billing change can't be delivered.".to_owned(),
        count => format!("{} billing changes can't be delivered.", count_text(count)),
    };
    Some(view! {
        <Banner tone=Tone::Warning title>
            <p>"The app's handler keeps failing. The oldest is from " <Moment at=oldest/> "."</p>
            <p class="actions"><a class="button" href=href>"See billing changes"</a></p>
        </Banner>
    })
}

/// Says how many subscriptions have a disputed payment: evidence is due within days.
#[component]
fn Disputes(disputed: i64) -> impl IntoView {
    let title = match disputed {
        0 => return None,
        1 => "A subscription's payment is disputed.".to_owned(),
        count => format!("Payments of {} subscriptions are disputed.", count_text(count)),
    };
    let href = address("/admin/accounts", &[("payments", PaymentFilter::Disputed.as_str())]);
    Some(view! {
        <Banner tone=Tone::Warning title>
            <p>"Respond in Stripe's Dashboard before the evidence is due."</p>
            <p class="actions"><a class="button" href=href>"See accounts"</a></p>
        </Banner>
    })
}

/// Says how many subscriptions run although their payment was taken back.
#[component]
fn Reversals(reversed: i64) -> impl IntoView {
    let title = match reversed {
        0 => return None,
        1 => "A subscription's payment was lost in a dispute or refunded.".to_owned(),
        count => format!("Payments of {} subscriptions were lost in a dispute or refunded.", count_text(count)),
    };
    let href = address("/admin/accounts", &[("payments", PaymentFilter::LostOrRefunded.as_str())]);
    Some(view! {
        <Banner tone=Tone::Info title>
            <p>"They renew as usual. Cancel those in Stripe's Dashboard that should not be charged again."</p>
            <p class="actions"><a class="button" href=href>"See accounts"</a></p>
        </Banner>
    })
}

#[component]
fn Events(counts: Vec<StateCount>, oldest: Option<Timestamp>) -> impl IntoView {
    let rows = counts
        .into_iter()
        .map(|StateCount { state, events }| {
            let href = address("/admin/events", &[("state", state.as_str())]);
            view! { <div><dt><EventBadge state/></dt><dd class="money"><a href=href>{count_text(events)}</a></dd></div> }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="events-title">
            <h2 id="events-title">"Events"</h2>
            <dl class="facts">{rows}</dl>
            {oldest.map(|at| view! { <p class="quiet">"The oldest pending event was received " <Moment at/> "."</p> })}
            <p class="actions"><a class="button" href="/admin/events">"All events"</a></p>
        </section>
    }
}

#[component]
fn Drift(run: Option<Run>, open: Vec<OpenCount>) -> impl IntoView {
    let has_run = run.is_some();
    view! {
        <section class="card" aria-labelledby="drift-title">
            <h2 id="drift-title">"Stripe sync"</h2>
            <LastRun run/>
            {has_run.then(|| view! { <Open open/> })}
            <div class="actions">
                <CompareNow/>
                <a class="button" href="/admin/drift">"All differences"</a>
            </div>
        </section>
    }
}

/// The number of open differences of each kind.
#[component]
fn Open(open: Vec<OpenCount>) -> impl IntoView {
    if open.is_empty() {
        return view! { <p>"In sync."</p> }.into_any();
    }
    let rows = open
        .into_iter()
        .map(|OpenCount { kind, open }| {
            let href = address("/admin/drift", &[("state", DriftState::Open.as_str()), ("kind", &kind)]);
            view! { <div><dt>{kind_text(&kind)}</dt><dd class="money"><a href=href>{grouped(open.unsigned_abs())}</a></dd></div> }
        })
        .collect_view();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}
