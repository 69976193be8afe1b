//! `/pricing`: a card for each plan. The visitor's own plan is marked and not for sale.

use std::collections::BTreeSet;

use billing::{Catalog, Interval, Plan, Policy, Tier};
use engine::overview::{self, BillingOverview};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::{Meta, Title};
use server::Tollgate;

use crate::caller::Caller;
use crate::components::{CheckoutNotice, FailureView, FormError, Heading, Offer, PlanCard};
use crate::failure::Failure;
use crate::query::{Choice, parameter};

#[component]
pub fn Pricing() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let response = expect_context::<ResponseOptions>();
    let permit = Caller::require(Policy::SignedIn).ok().map(|caller| caller.permit);
    let choice = Choice::of_address(tollgate.catalog());
    let page = Suspend::new(async move {
        let overview = match permit {
            None => None,
            Some(permit) => match overview::overview(&tollgate, permit.account_id(), permit.entitlement()).await {
                Ok(overview) => Some(overview),
                Err(cause) => {
                    let failure = Failure::store(cause);
                    response.set_status(failure.status());
                    return view! { <FailureView failure/> }.into_any();
                }
            },
        };
        view! { <Plans catalog=tollgate.catalog().clone() overview choice/> }.into_any()
    });
    view! {
        <Title text="Pricing"/>
        <Meta name="description" content="Compare plans: what each one costs and includes."/>
        {page}
    }
}

#[component]
fn Plans(catalog: Catalog, overview: Option<BillingOverview>, choice: Choice) -> impl IntoView {
    let could_try = |overview: &BillingOverview| overview.trial_available && !has_subscription(overview);
    let trial = catalog.trial_days() > 0 && overview.as_ref().is_none_or(could_try);
    let lead = if trial {
        format!("Every paid plan starts with a {}-day free trial. Cancel any time.", catalog.trial_days())
    } else {
        "Cancel any time. You keep your plan until the period ends.".to_owned()
    };
    // The one primary button is on the chosen plan, or on the first with a price.
    let mut sold = catalog.plans().iter().filter(|plan| !plan.prices.is_empty()).map(|plan| plan.tier.clone());
    let leading = choice.plan.as_deref().map(Tier::new).or_else(|| sold.next());
    let cards = catalog
        .plans()
        .iter()
        .map(|plan| {
            let chosen = choice.plan.as_deref() == Some(plan.tier.as_str());
            let leads = leading.as_ref() == Some(&plan.tier);
            let offer = offer(plan, overview.as_ref(), trial);
            view! { <PlanCard plan=plan.clone() catalog=catalog.clone() interval=choice.interval offer leads chosen/> }
        })
        .collect_view();
    view! {
        <Heading title="Pricing" lead/>
        <FormError/>
        <CheckoutNotice notice=parameter("notice")/>
        <IntervalSwitch catalog=catalog.clone() choice=choice.clone()/>
        <div class="plans">{cards}</div>
    }
}

/// Returns the offer of a plan to a visitor. `overview` is their account's, if they have one.
pub fn offer(plan: &Plan, overview: Option<&BillingOverview>, trial: bool) -> Offer {
    let is_free = plan.prices.is_empty();
    let Some(overview) = overview else {
        return if is_free { Offer::Join } else { Offer::SignUp { trial } };
    };
    if overview.entitlement.tier == plan.tier {
        Offer::Current
    } else if is_free {
        Offer::Free
    } else if has_subscription(overview) {
        Offer::Other
    } else {
        Offer::Subscribe { trial }
    }
}

fn has_subscription(overview: &BillingOverview) -> bool {
    overview.subscription.as_ref().is_some_and(|subscription| !subscription.status.has_ended())
}

/// The interval switch: links, so that it needs no script. The chosen plan stays chosen.
#[component]
fn IntervalSwitch(catalog: Catalog, choice: Choice) -> impl IntoView {
    let sold: BTreeSet<Interval> =
        catalog.plans().iter().flat_map(|plan| &plan.prices).map(|price| price.interval).collect();
    if sold.len() < 2 {
        return ().into_any();
    }
    let links = sold
        .into_iter()
        .map(|interval| {
            let name = match interval {
                Interval::Month => "Monthly",
                Interval::Year => "Yearly",
            };
            let plan = choice.plan.as_ref().map(|plan| format!("plan={plan}&")).unwrap_or_default();
            let href = format!("/pricing?{plan}interval={interval}");
            view! { <li><a href=href aria-current=(interval == choice.interval).then_some("true")>{name}</a></li> }
        })
        .collect_view();
    view! {
        <nav class="switch" aria-label="Billing interval">
            <ul>{links}</ul>
        </nav>
    }
    .into_any()
}
