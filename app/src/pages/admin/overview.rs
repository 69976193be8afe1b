//! `/admin`: how everything stands.

use billing::Timestamp;
use leptos::prelude::*;
use server::operations;
use server::store::drift::{DriftState, Run};
use server::store::inbox::EventState;

use super::Sections;
use super::drift::{CompareNow, Comparison, kind_words};
use crate::components::{EventBadge, Heading, Moment, operator_page};
use crate::failure::Failure;
use crate::query::address;

/// Events by state, and what differs from Stripe.
#[component]
pub fn Overview() -> impl IntoView {
    operator_page("Operations", move |tollgate, permit| async move {
        let overview = operations::overview(&tollgate, &permit).await.map_err(Failure::store)?;
        Ok(view! {
            <Heading title="Operations"/>
            <Sections/>
            <div class="split">
                <Inbox events=overview.events oldest=overview.oldest_pending/>
                <Drift comparison=overview.comparison left=overview.drift/>
            </div>
        }
        .into_any())
    })
}

#[component]
fn Inbox(events: Vec<(EventState, i64)>, oldest: Option<Timestamp>) -> impl IntoView {
    let rows = events
        .into_iter()
        .map(|(state, count)| {
            let href = address("/admin/events", &[("state", state.as_str())]);
            view! { <div><dt><EventBadge state/></dt><dd class="money"><a href=href>{billing::money::grouped(count.unsigned_abs())}</a></dd></div> }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="inbox-title">
            <h2 id="inbox-title">"Events"</h2>
            <dl class="facts">{rows}</dl>
            {oldest.map(|at| view! { <p class="quiet">"The oldest that is pending came on " <Moment at/> "."</p> })}
            <p class="actions"><a class="button" href="/admin/events">"All events"</a></p>
        </section>
    }
}

#[component]
fn Drift(comparison: Option<Run>, left: Vec<(String, i64)>) -> impl IntoView {
    let was_compared = comparison.is_some();
    view! {
        <section class="card" aria-labelledby="drift-title">
            <h2 id="drift-title">"Compared with Stripe"</h2>
            <Comparison run=comparison/>
            {was_compared.then(|| view! { <Left left/> })}
            <div class="actions">
                <CompareNow/>
                <a class="button" href="/admin/drift">"All differences"</a>
            </div>
        </section>
    }
}

/// What is there still, by class.
#[component]
fn Left(left: Vec<(String, i64)>) -> impl IntoView {
    if left.is_empty() {
        return view! { <p>"Nothing differs."</p> }.into_any();
    }
    let rows = left
        .into_iter()
        .map(|(kind, count)| {
            let href = address("/admin/drift", &[("state", DriftState::Left.as_str()), ("kind", &kind)]);
            view! { <div><dt>{kind_words(&kind)}</dt><dd class="money"><a href=href>{billing::money::grouped(count.unsigned_abs())}</a></dd></div> }
        })
        .collect_view();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}
