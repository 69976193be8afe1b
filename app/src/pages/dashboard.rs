//! `/dashboard`: usage, the plan, and links to the areas.

use billing::Admission;
use engine::overview::{self, BillingOverview};
use leptos::prelude::*;
use server::Tollgate;

use crate::api::{CurrentPlan, Usage, current_plan, usage};
use crate::areas::{AREAS, Area};
use crate::caller::Caller;
use crate::components::{Glyph, Heading, Icon, SubscriptionNotice, UsageMeter, UsageNotices, signed_in_page};
use crate::failure::Failure;

/// The first page after logging in.
#[component]
pub fn Dashboard() -> impl IntoView {
    signed_in_page("Dashboard", |Caller { tollgate, permit, .. }| async move {
        let (account, entitlement) = (permit.account_id(), permit.entitlement());
        let overview = overview::overview(&tollgate, account, entitlement).await.map_err(Failure::store)?;
        let (plan, usage) = (current_plan().await?, usage().await?);
        Ok(view! { <Overview tollgate overview plan usage/> }.into_any())
    })
}

#[component]
fn Overview(tollgate: Tollgate, overview: BillingOverview, plan: CurrentPlan, usage: Usage) -> impl IntoView {
    let catalog = tollgate.catalog();
    let meters = usage.meters.into_iter().map(|meter| view! { <UsageMeter meter/> }).collect_view();
    let tiles = AREAS
        .into_iter()
        .map(|area| {
            let locked = match area.policy.admits(&overview.entitlement, catalog) {
                Admission::Admitted => None,
                Admission::Forbidden | Admission::UpgradeRequired { .. } => {
                    area.included_in(catalog).map(|plan| plan.name.clone())
                }
            };
            view! { <Tile area locked/> }
        })
        .collect_view();
    view! {
        <Heading title="Dashboard"/>
        <SubscriptionNotice tollgate=tollgate.clone() overview=overview.clone()/>
        <UsageNotices notices=usage.notices here="/dashboard"/>
        <div class="split">
            <section class="card" aria-labelledby="usage-title">
                <h2 id="usage-title">"Usage"</h2>
                <div class="meters">{meters}</div>
            </section>
            <section class="card current-plan" aria-labelledby="plan-title">
                <h2 id="plan-title">"Your plan"</h2>
                <p class="current-plan-name">{plan.name}</p>
                <p class="quiet">{plan.summary}</p>
                <p class="actions">
                    {if plan.is_highest {
                        view! { <a class="button" href="/billing">"Manage billing"</a> }
                    } else {
                        view! { <a class="button" href="/pricing">"Compare plans"</a> }
                    }}
                </p>
            </section>
        </div>
        <section aria-labelledby="areas-title">
            <h2 id="areas-title">"Features"</h2>
            <ul class="tiles">{tiles}</ul>
        </section>
    }
}

/// A link to an area. A locked one shows the plan that includes it.
#[component]
fn Tile(area: &'static Area, locked: Option<String>) -> impl IntoView {
    let glyph = match area.path.rsplit('/').next() {
        Some("analytics") => Glyph::Chart,
        Some("api-keys") => Glyph::Key,
        Some("custom-domain") => Glyph::Globe,
        _ => Glyph::Speech,
    };
    let class = if locked.is_some() { "card tile tile-locked" } else { "card tile" };
    view! {
        <li class=class>
            <Icon glyph/>
            <h3><a href=area.path>{area.title}</a></h3>
            <p class="quiet">{area.summary}</p>
            {locked.map(|plan| view! { <p class="tile-lock"><Icon glyph=Glyph::Lock/> {format!("Included in {plan}")}</p> })}
        </li>
    }
}
