//! `/billing`: what one pays for, what happens next, what was.

use billing::{Because, Catalog, Item, Price, Rule, Status, Subscription, Timestamp};
use leptos::prelude::*;
use server::{BillingOverview, Tollgate};

use crate::components::{Banner, Day, Empty, Glyph, Heading, Moment, StatusBadge, Tone, UsageMeter, signed_in_page};
use crate::failure::Failure;
use crate::query::parameter;

/// Plan, status in words, next date, usage, history.
#[component]
pub fn Billing() -> impl IntoView {
    let notice = parameter("notice");
    signed_in_page("Billing", move |tollgate, who| async move {
        let overview = tollgate.billing_overview(&who.account_id).await.map_err(Failure::store)?;
        let was_led_here = notice.as_deref() == Some("already_subscribed");
        Ok(view! {
            <Heading title="Billing"/>
            {was_led_here.then(|| view! {
                <Banner tone=Tone::Info title="You have a subscription already.">
                    <p>"An account has one at a time, so nothing was started and nothing was charged."</p>
                </Banner>
            })}
            <Notices tollgate=tollgate.clone() overview=overview.clone()/>
            <div class="split">
                <CurrentPlan tollgate=tollgate.clone() overview=overview.clone()/>
                <Usage overview=overview.clone()/>
            </div>
            <History catalog=tollgate.catalog().clone() past=overview.past/>
        }
        .into_any())
    })
}

/// What needs to be known or done about the subscription, as banners.
#[component]
pub fn Notices(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let subscription = overview.subscription.as_ref()?;
    let Because::Subscription { id, status, rule } = &overview.entitlement.because else { return None };
    if *id != subscription.id {
        return None;
    }
    let plan = plan_name(catalog, subscription);
    let is_trial = *status == Status::Trialing;
    let grace_end = grace_end(catalog, subscription);
    let banner = match rule {
        Rule::PeriodPaid if is_trial => {
            let ends = subscription.trial_end.unwrap_or_else(|| subscription.period().end);
            let due = price_of(catalog, subscription).map(|price| format!("{} per {}", price.amount, price.interval));
            view! {
                <Banner tone=Tone::Info title=format!("Your free trial of {plan} is running.")>
                    <p>
                        "It ends on " <Moment at=ends/> ". "
                        {due.map(|due| format!("Then {plan} goes on for {due}, unless you cancel before."))}
                    </p>
                </Banner>
            }
            .into_any()
        }
        Rule::PeriodPaid => return None,
        Rule::EndsLater => {
            let ends = subscription.ends_at().unwrap_or_else(|| subscription.period().end);
            view! {
                <Banner tone=Tone::Warning title=format!("{plan} is cancelled.")>
                    <p>"Everything stays open until " <Moment at=ends/> ". Then your account is on the free plan. Nothing more is charged."</p>
                </Banner>
            }
            .into_any()
        }
        Rule::InGrace => view! {
            <Banner tone=Tone::Warning title=format!("The last payment for {plan} failed.")>
                <p>
                    "Everything stays open until " <Moment at=grace_end/>
                    ". Pay the open invoice before then: the link is in the e-mail that Stripe sent you."
                </p>
            </Banner>
        }
        .into_any(),
        Rule::GraceOver => view! {
            <Banner tone=Tone::Danger title=format!("{plan} is closed because a payment failed.")>
                <p>
                    "It was open until " <Moment at=grace_end/>
                    ". Pay the open invoice with the link in Stripe's e-mail and it opens again at once."
                </p>
            </Banner>
        }
        .into_any(),
        Rule::Ended => return None,
        Rule::StalePeriod | Rule::UnknownStatus | Rule::UnknownPrice => view! {
            <Banner tone=Tone::Warning title="We are checking your subscription.">
                <p>"What Stripe tells us about it does not add up yet. Nothing for you to do; if this stays for a day, write to us."</p>
            </Banner>
        }
        .into_any(),
        Rule::StatusGivesNothing => match status {
            Status::Incomplete => view! {
                <Banner tone=Tone::Warning title=format!("The first payment for {plan} is not finished.")>
                    <p>"Your bank has to confirm it, or the card was declined. Finish the payment and the plan opens."</p>
                </Banner>
            }
            .into_any(),
            Status::Unpaid => view! {
                <Banner tone=Tone::Danger title=format!("{plan} is unpaid and closed.")>
                    <p>"All attempts to collect the payment failed. Pay the open invoice with the link in Stripe's e-mail and it opens again."</p>
                </Banner>
            }
            .into_any(),
            Status::Paused => view! {
                <Banner tone=Tone::Warning title=format!("{plan} is paused.")>
                    <p>"The trial ended without a card. Add one with the link in Stripe's e-mail and the plan goes on."</p>
                </Banner>
            }
            .into_any(),
            _ => return None,
        },
    };
    Some(banner)
}

#[component]
fn CurrentPlan(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let plan = catalog.plan(&overview.entitlement.tier).unwrap_or_else(|| catalog.free());
    let is_highest = overview.entitlement.rank + 1 == catalog.plans().len();
    let running = overview.subscription.as_ref().filter(|subscription| !subscription.status.is_over());
    let facts =
        running.map(|subscription| view! { <Facts subscription=subscription.clone() catalog=catalog.clone()/> });
    view! {
        <section class="card current-plan" aria-labelledby="plan-title">
            <h2 id="plan-title">"Your plan"</h2>
            <p class="current-plan-name">{plan.name.clone()}</p>
            <p class="quiet">{plan.summary.clone()}</p>
            {facts}
            <p class="actions">
                <a class="button" class:button-primary=!is_highest && running.is_none() href="/pricing">
                    {if is_highest { "See the plans" } else { "Compare plans" }}
                </a>
            </p>
        </section>
    }
}

#[component]
fn Facts(subscription: Subscription, catalog: Catalog) -> impl IntoView {
    let price = price_of(&catalog, &subscription).map(|price| format!("{} per {}", price.amount, price.interval));
    let next = match (&subscription.status, subscription.ends_at()) {
        (_, Some(at)) => Some(("Ends", at)),
        (Status::Trialing, None) => {
            Some(("First payment", subscription.trial_end.unwrap_or_else(|| subscription.period().end)))
        }
        (Status::Active, None) => Some(("Renews", subscription.period().end)),
        (Status::PastDue, None) => Some(("Open until", grace_end(&catalog, &subscription))),
        _ => None,
    };
    view! {
        <dl class="facts">
            <div><dt>"Status"</dt><dd><StatusBadge status=subscription.status.clone()/></dd></div>
            {price.map(|price| view! { <div><dt>"Price"</dt><dd class="money">{price}</dd></div> })}
            {next.map(|(word, at)| view! { <div><dt>{word}</dt><dd><Moment at/></dd></div> })}
        </dl>
    }
}

#[component]
fn Usage(overview: BillingOverview) -> impl IntoView {
    let meters = overview.usage.into_iter().map(|reading| view! { <UsageMeter reading/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="usage-title">
            <h2 id="usage-title">"Usage"</h2>
            <div class="meters">{meters}</div>
        </section>
    }
}

#[component]
fn History(catalog: Catalog, past: Vec<Subscription>) -> impl IntoView {
    let body = if past.is_empty() {
        view! {
            <Empty glyph=Glyph::Receipt title="No earlier subscriptions">
                "When a subscription ends, it is kept here with its dates."
            </Empty>
        }
        .into_any()
    } else {
        let rows = past
            .into_iter()
            .map(|subscription| {
                let ended = subscription.ended_at.unwrap_or_else(|| subscription.period().end);
                view! {
                    <tr>
                        <th scope="row">{plan_name(&catalog, &subscription)}</th>
                        <td><StatusBadge status=subscription.status.clone()/></td>
                        <td><Day at=subscription.created/></td>
                        <td><Day at=ended/></td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <div class="table-scroll" tabindex="0" role="region" aria-label="Earlier subscriptions">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Plan"</th>
                            <th scope="col">"Status"</th>
                            <th scope="col">"Started (UTC)"</th>
                            <th scope="col">"Ended (UTC)"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="history-title">
            <h2 id="history-title">"History"</h2>
            {body}
        </section>
    }
}

/// Until when a failed payment is waited for.
fn grace_end(catalog: &Catalog, subscription: &Subscription) -> Timestamp {
    let failed = subscription.past_due_since.unwrap_or_else(|| subscription.period().start);
    failed.plus_days(i64::from(catalog.grace_days()))
}

/// The plan that a subscription stands for, as people know it.
fn plan_name(catalog: &Catalog, subscription: &Subscription) -> String {
    let (tier, _) = subscription.tier(catalog);
    let plan = tier.and_then(|tier| catalog.plan(tier));
    plan.map_or_else(|| "Your plan".to_owned(), |plan| plan.name.clone())
}

/// The catalogue's price of the item that decides the tier; `None` for one no longer sold.
fn price_of<'a>(catalog: &'a Catalog, subscription: &Subscription) -> Option<&'a Price> {
    let plan = catalog.plan(subscription.tier(catalog).0?)?;
    let is_of = |price: &Price, item: &Item| {
        price.id.as_ref() == Some(&item.price) || item.lookup_key.as_deref() == Some(price.lookup_key.as_str())
    };
    plan.prices.iter().find(|price| subscription.items.iter().any(|item| is_of(price, item)))
}
