//! The card of a plan: the price, the button, and what is included.

use billing::{Catalog, Interval, Limit, Meter, MeteredPrice, Money, Plan};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::free_price::free_price;
use super::icon::{Glyph, Icon};
use crate::api::StartSubscription;
use crate::islands::SubmitOnce;
use crate::query::{pricing_path, with_next};

/// The action that a plan's card offers a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is their plan.
    Current,
    /// They are subscribed to another plan.
    Other,
    /// It is free and they have no account.
    Join,
    /// It is free and they have an account.
    Free,
    /// They can subscribe.
    Subscribe {
        /// Whether it starts with a trial.
        trial: bool,
    },
    /// They can subscribe after signing up.
    SignUp {
        /// Whether it starts with a trial.
        trial: bool,
    },
}

impl Offer {
    const fn trial(self) -> bool {
        matches!(self, Self::Subscribe { trial: true } | Self::SignUp { trial: true })
    }
}

/// A plan's card. `leads` makes its button the page's primary one.
#[component]
pub fn PlanCard(
    plan: Plan,
    catalog: Catalog,
    interval: Interval,
    offer: Offer,
    leads: bool,
    /// Whether the visitor has chosen it.
    #[prop(optional)]
    chosen: bool,
) -> impl IntoView {
    let id = format!("plan-{}", plan.tier.as_str().to_ascii_lowercase());
    let mark = match offer {
        Offer::Current => Some("Current plan"),
        _ if chosen => Some("Selected"),
        _ => None,
    };
    let is_below = |other: &&Plan| catalog.rank(&other.tier) < catalog.rank(&plan.tier) && plan.includes(other);
    let below = catalog.plans().iter().rev().find(is_below);
    let gains_intro =
        below.map_or_else(|| "What's included".to_owned(), |below| format!("Everything in {}, plus", below.name));
    let gains = gains(&catalog, &plan, below)
        .into_iter()
        .map(|gain| view! { <li><Icon glyph=Glyph::Check/> <span>{gain}</span></li> })
        .collect_view();
    let labeled_by = id.clone();
    view! {
        <article
            class="card plan"
            class:plan-leads=leads
            class:plan-chosen=chosen
            aria-labelledby=labeled_by
            tabindex=chosen.then_some("-1")
            autofocus=chosen
        >
            <div class="plan-head">
                <h2 id=id>{plan.name.clone()}</h2>
                {mark.map(|mark| view! { <span class="badge badge-accent">{mark}</span> })}
            </div>
            <PriceLine plan=plan.clone() catalog=catalog.clone() interval/>
            <p class="plan-summary">{plan.summary.clone()}</p>
            <div class="plan-action"><Action plan=plan.clone() catalog interval offer/></div>
            <p class="plan-intro">{gains_intro}</p>
            <ul class="gains">{gains}</ul>
        </article>
    }
}

#[component]
fn PriceLine(plan: Plan, catalog: Catalog, interval: Interval) -> impl IntoView {
    let Some(price) = plan.price(interval) else {
        let (amount, note) = if plan.prices.is_empty() {
            (free_price(&catalog), "forever")
        } else {
            ("–".to_owned(), if interval == Interval::Year { "not available yearly" } else { "not available monthly" })
        };
        return view! {
            <p class="price"><span class="price-amount">{amount}</span> <span class="price-per">{note}</span></p>
        }
        .into_any();
    };
    let saving = saving(&plan, interval)
        .map(|saving| view! { <span class="price-saving">{format!("Save {saving} a year")}</span> });
    view! {
        <p class="price">
            <span class="price-amount">{price.amount.to_string()}</span>
            " "
            <span class="price-per">{format!("per {interval}")}</span>
            {saving}
        </p>
    }
    .into_any()
}

#[component]
fn Action(plan: Plan, catalog: Catalog, interval: Interval, offer: Offer) -> impl IntoView {
    let label =
        if offer.trial() { format!("Start {} trial", plan.name) } else { format!("Subscribe to {}", plan.name) };
    let terms = match (plan.price(interval), offer.trial()) {
        (Some(price), true) => {
            // Stripe does not bill usage in a trial.
            let is_metered = catalog.metered_prices_of(&plan).next().is_some();
            let usage = if is_metered { " Usage beyond the limits is rejected until then." } else { "" };
            format!(
                "{} days free, then {}/{interval}. Cancel before the trial ends and you won't be charged.{usage}",
                catalog.trial_days(),
                price.amount
            )
        }
        (Some(price), false) => format!("{}/{interval}, starting today. Cancel any time.", price.amount),
        (None, _) => String::new(),
    };
    match offer {
        Offer::Current => view! { <p class="plan-note">"You're on this plan."</p> }.into_any(),
        Offer::Free => view! { <p class="plan-note">"Included with every account."</p> }.into_any(),
        Offer::Join => view! { <a class="button" href="/signup">"Create a free account"</a> }.into_any(),
        Offer::Other => view! {
            <a class="button" href="/billing">"Manage billing"</a>
            <p class="plan-terms">"You can have one subscription at a time."</p>
        }
        .into_any(),
        Offer::SignUp { .. } => {
            let href = with_next("/signup", &pricing_path(&plan, interval));
            view! {
                <a class="button button-primary" href=href>{label}</a>
                <p class="plan-terms">{terms}</p>
            }
            .into_any()
        }
        Offer::Subscribe { .. } => view! {
            <form method="post" action=StartSubscription::url()>
                <input type="hidden" name="plan" value=plan.tier.to_string()/>
                <input type="hidden" name="interval" value=interval.as_str()/>
                <SubmitOnce>{label}</SubmitOnce>
            </form>
            <p class="plan-terms">{terms}</p>
        }
        .into_any(),
    }
}

/// Returns the limits and features that a plan adds to the one `below`, one line each.
pub fn gains(catalog: &Catalog, plan: &Plan, below: Option<&Plan>) -> Vec<String> {
    let has_below = |meter| below.is_some_and(|below| below.limit(meter) == plan.limit(meter));
    let meters = catalog.meters().iter().filter_map(|each| match plan.limit(each.meter) {
        Limit::Finite(0) => None,
        _ if has_below(each.meter) => None,
        limit @ Limit::Finite(_) => {
            Some(format!("{limit} {} a month{}", each.label, overage_price(catalog, plan, each.meter)))
        }
        Limit::Unlimited => Some(format!("Unlimited {}", each.label)),
    });
    let is_new =
        |feature| plan.features.contains(feature) && !below.is_some_and(|below| below.features.contains(feature));
    let features = catalog.features().iter().filter(|each| is_new(&each.feature));
    meters.chain(features.map(|each| each.label.clone())).collect()
}

/// Returns the price of usage beyond a limit of `plan`, if it is billed.
fn overage_price(catalog: &Catalog, plan: &Plan, meter: Meter) -> String {
    match catalog.metered_price(meter).filter(|_| !plan.prices.is_empty()) {
        Some(MeteredPrice { unit: Some(unit), .. }) => format!(", then {unit} each"),
        Some(MeteredPrice { unit: None, .. }) => ", then billed per unit".to_owned(),
        None => String::new(),
    }
}

/// Returns the saving of a yearly price over twelve monthly ones.
fn saving(plan: &Plan, interval: Interval) -> Option<Money> {
    let (Interval::Year, Some(year), Some(month)) = (interval, plan.price(Interval::Year), plan.price(Interval::Month))
    else {
        return None;
    };
    let less = month.amount.minor.checked_mul(12)?.checked_sub(year.amount.minor)?;
    let is_same_currency = month.amount.currency == year.amount.currency;
    (is_same_currency && less > 0).then(|| Money::new(less, year.amount.currency.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::parse(include_str!("../../../plans.toml"), &|_| None).unwrap()
    }

    fn plan(name: &str) -> Plan {
        catalog().plan_named(name).unwrap().clone()
    }

    #[test]
    fn the_saving_is_the_difference_from_twelve_months() {
        assert_eq!(saving(&plan("PRO"), Interval::Year).unwrap().to_string(), "$58");
        assert_eq!(saving(&plan("PRO"), Interval::Month), None);
        assert_eq!(saving(&plan("FREE"), Interval::Year), None);
    }

    #[test]
    fn a_card_lists_limits_before_features() {
        assert_eq!(
            gains(&catalog(), &plan("PRO"), Some(&plan("FREE"))),
            ["10,000 API calls a month", "500 AI generations a month", "Advanced analytics", "Custom domain"]
        );
        assert_eq!(
            gains(&catalog(), &plan("ENTERPRISE"), Some(&plan("PRO"))),
            ["Unlimited API calls", "Unlimited AI generations", "Priority support"]
        );
    }
}
