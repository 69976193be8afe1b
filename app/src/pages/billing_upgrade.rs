//! `/billing/upgrade?feature=&next=`: where the gate redirects a visitor whose plan is too low.

use billing::{Admission, Plan};
use engine::overview::{self, BillingOverview};
use leptos::prelude::*;
use server::Tollgate;

use super::pricing::offer;
use crate::areas::Area;
use crate::caller::Caller;
use crate::components::{FormError, Glyph, Heading, Icon, PlanCard, SubscriptionNotice, signed_in_page};
use crate::failure::Failure;
use crate::query::{Choice, next, parameter};

/// Offers the plan that includes what the visitor requested.
#[component]
pub fn Upgrade() -> impl IntoView {
    let next = next();
    let requested =
        next.as_deref().and_then(Area::at).or_else(|| parameter("feature").as_deref().and_then(Area::named));
    signed_in_page("Upgrade", move |Caller { tollgate, permit, .. }| async move {
        let overview = overview::overview(&tollgate, permit.account_id(), permit.entitlement()).await;
        let overview = overview.map_err(Failure::store)?;
        let choice = Choice::of_address(tollgate.catalog());
        let wanted = requested.and_then(|area| area.included_in(tollgate.catalog()));
        let next_up = tollgate.catalog().plans().get(overview.entitlement.rank + 1);
        let view = match (requested, wanted.or(next_up).cloned()) {
            (Some(area), _) if area.policy.admits(&overview.entitlement, tollgate.catalog()) == Admission::Admitted => {
                view! { <AlreadyIncluded area/> }.into_any()
            }
            (requested, Some(plan)) => view! { <Sell tollgate overview plan requested choice/> }.into_any(),
            (_, None) => view! { <Highest plan=tollgate.catalog().plan(&overview.entitlement.tier).map(|plan| plan.name.clone())/> }.into_any(),
        };
        Ok(view)
    })
}

#[component]
fn Sell(
    tollgate: Tollgate,
    overview: BillingOverview,
    plan: Plan,
    requested: Option<&'static Area>,
    choice: Choice,
) -> impl IntoView {
    let title = requested
        .map_or_else(|| format!("Upgrade to {}", plan.name), |area| format!("Get {} with {}", area.title, plan.name));
    let lead = requested.map(|area| area.summary).unwrap_or_default();
    let catalog = tollgate.catalog().clone();
    let trial = catalog.trial_days() > 0 && overview.trial_available;
    let offer = offer(&plan, Some(&overview), trial);
    // A subscription without access needs a payment, not another plan.
    let is_suspended = overview.subscription.is_some() && overview.entitlement.rank == 0;
    view! {
        <div class="narrow upgrade">
            <Heading title lead/>
            <FormError/>
            {is_suspended.then(|| view! { <SubscriptionNotice tollgate overview/> })}
            <PlanCard plan catalog interval=choice.interval offer leads=true/>
            <p class="form-other"><a href="/pricing">"Compare all plans"</a></p>
        </div>
    }
}

/// The visitor has upgraded in the meantime, in another tab for example.
#[component]
fn AlreadyIncluded(area: &'static Area) -> impl IntoView {
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>{format!("You have {}", area.title)}</h1>
            <p class="lead">"Your plan includes it."</p>
            <p class="actions"><a class="button button-primary" href=area.path>{format!("Open {}", area.title)}</a></p>
        </div>
    }
}

#[component]
fn Highest(plan: Option<String>) -> impl IntoView {
    let plan = plan.unwrap_or_else(|| "yours".to_owned());
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>"You're on our highest plan"</h1>
            <p class="lead">{format!("There's no higher plan than {plan}.")}</p>
            <p class="actions"><a class="button button-primary" href="/dashboard">"Go to dashboard"</a></p>
        </div>
    }
}
