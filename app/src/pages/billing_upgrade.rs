//! `/billing/upgrade?feature=&next=`: where somebody is sent whose plan is too low.

use billing::{Admission, Plan};
use engine::overview::{self, BillingOverview};
use leptos::prelude::*;
use server::Tollgate;

use super::pricing::offer;
use crate::areas::Area;
use crate::caller::Caller;
use crate::components::{Glyph, Heading, Icon, PlanCard, Refusal, signed_in_page};
use crate::failure::Failure;
use crate::query::{Choice, next, parameter};

/// Says what was asked for, which plan opens it, and sells it right there.
#[component]
pub fn Upgrade() -> impl IntoView {
    let next = next();
    let asked = next.as_deref().and_then(Area::at).or_else(|| parameter("feature").as_deref().and_then(Area::named));
    signed_in_page("Upgrade", move |Caller { tollgate, permit, .. }| async move {
        let overview = overview::overview(&tollgate, permit.account_id(), permit.entitlement()).await;
        let overview = overview.map_err(Failure::store)?;
        let choice = Choice::of_address(tollgate.catalog());
        let wanted = asked.and_then(|area| area.opened_by(tollgate.catalog()));
        let next_up = tollgate.catalog().plans().get(overview.entitlement.rank + 1);
        let view = match (asked, wanted.or(next_up).cloned()) {
            (Some(area), _) if area.policy.admits(&overview.entitlement, tollgate.catalog()) == Admission::Admitted => {
                view! { <Open area/> }.into_any()
            }
            (asked, Some(plan)) => view! { <Sell tollgate overview plan asked choice/> }.into_any(),
            (_, None) => view! { <Highest/> }.into_any(),
        };
        Ok(view)
    })
}

#[component]
fn Sell(
    tollgate: Tollgate,
    overview: BillingOverview,
    plan: Plan,
    asked: Option<&'static Area>,
    choice: Choice,
) -> impl IntoView {
    let title = asked
        .map_or_else(|| format!("Upgrade to {}", plan.name), |area| format!("Get {} with {}", area.title, plan.name));
    let lead = asked.map(|area| area.summary).unwrap_or_default();
    let catalog = tollgate.catalog().clone();
    let trial = catalog.trial_days() > 0 && overview.trial_available;
    let offer = offer(&plan, Some(&overview), trial);
    view! {
        <div class="narrow upgrade">
            <Heading title lead/>
            <Refusal/>
            <PlanCard plan catalog interval=choice.interval offer leads=true/>
            <p class="form-other"><a href="/pricing">"Compare all plans"</a></p>
        </div>
    }
}

/// They have it by now: another tab was quicker.
#[component]
fn Open(area: &'static Area) -> impl IntoView {
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>{format!("{} is open for you", area.title)}</h1>
            <p class="lead">"Your plan includes it."</p>
            <p class="actions"><a class="button button-primary" href=area.path>{format!("Go to {}", area.title)}</a></p>
        </div>
    }
}

#[component]
fn Highest() -> impl IntoView {
    view! {
        <div class="narrow outcome outcome-good">
            <Icon glyph=Glyph::Check/>
            <h1>"Nothing left to upgrade to"</h1>
            <p class="lead">"You are on the highest plan there is."</p>
            <p class="actions"><a class="button button-primary" href="/dashboard">"Go to the dashboard"</a></p>
        </div>
    }
}
