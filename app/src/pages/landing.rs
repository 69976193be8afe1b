//! `/`: the home page, with the product and its prices.

use billing::{Catalog, Interval};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use server::Tollgate;
use server::auth::Visitor;

use crate::areas::AREAS;
use crate::components::{Banner, Glyph, Icon, Tone, free_price, gains};
use crate::query::parameter;

#[component]
pub fn Landing() -> impl IntoView {
    let was_deleted = parameter("notice").as_deref() == Some("closed");
    let is_signed_in = expect_context::<Visitor>().signed_in.is_some();
    let (href, name) =
        if is_signed_in { ("/dashboard", "Go to dashboard") } else { ("/signup", "Create a free account") };
    let tollgate = expect_context::<Tollgate>();
    let catalog = tollgate.catalog();
    let areas = AREAS
        .into_iter()
        .zip([Glyph::Chart, Glyph::Key, Glyph::Globe, Glyph::Speech])
        .map(|(area, glyph)| {
            view! {
                <li>
                    <Icon glyph/>
                    <h3>{area.title}</h3>
                    <p>{area.summary}</p>
                </li>
            }
        })
        .collect_view();
    view! {
        <Title text="An API with clear limits"/>
        <Meta name="description" content="Start free, pay as you grow. You always see what your plan includes, what you've used and when it renews."/>
        {was_deleted.then(|| view! {
            <Banner tone=Tone::Good title="Your account was deleted.">
                <p>"You won't be charged again. We keep your invoices and payments as required by law."</p>
            </Banner>
        })}
        <section class="hero" aria-labelledby="hero-title">
            <div class="hero-text">
                <h1 id="hero-title">"Start free. "<span class="hero-accent">"Pay as you grow."</span></h1>
                <p class="hero-lead">
                    "An API with clear limits. You always see what your plan includes, what you've used and when it renews."
                </p>
                <p class="actions">
                    <a class="button button-primary button-large" href=href>{name}</a>
                    <a class="button button-large" href="/pricing">"See plans" <Icon glyph=Glyph::Arrow/></a>
                </p>
                <p class="quiet">"No card required."</p>
            </div>
            <Teaser/>
        </section>
        <section class="opens" aria-labelledby="opens-title">
            <h2 id="opens-title">"What's included"</h2>
            <ul class="opens-list">{areas}</ul>
        </section>
        <section class="promises" aria-labelledby="promises-title">
            <h2 id="promises-title">"No surprises"</h2>
            <dl class="promise-list">
                <div>
                    <dt>"Clear pricing"</dt>
                    <dd>{over_a_limit(catalog)}</dd>
                </div>
                <div>
                    <dt>{if catalog.grace_days() > 0 { "A failed payment won't lock you out" } else { "If a payment fails" }}</dt>
                    <dd>{grace(catalog.grace_days())}</dd>
                </div>
                <div>
                    <dt>"Cancel any time"</dt>
                    <dd>{format!("You keep your plan until the period ends, then move to {}.", catalog.free().name)}</dd>
                </div>
            </dl>
        </section>
    }
}

/// Describes what happens to usage beyond a limit: it uses credits first, and is then billed or denied.
fn over_a_limit(catalog: &Catalog) -> String {
    let has_credits = catalog.products().iter().any(|product| product.grants.is_some());
    let credits = if has_credits { "Usage over a limit comes out of your extra credits first. " } else { "" };
    let billed: Vec<&str> = catalog.metered_prices().map(|(meter, _)| catalog.meter_label(meter)).collect();
    let beyond = if billed.is_empty() {
        "Further usage is rejected; nothing extra is billed.".to_owned()
    } else {
        let rest = if billed.len() < catalog.meters().len() { " Other usage is rejected." } else { "" };
        let trial = if catalog.trial_days() > 0 { " after the trial" } else { "" };
        let billed = billed.join(" and ");
        format!(
            "On paid plans, further {billed} are billed per unit{trial}, up to a maximum, shown on your billing page.{rest}"
        )
    };
    format!("You pay the price of your plan. {credits}{beyond}")
}

/// Describes the grace period after a failed payment.
fn grace(days: u32) -> String {
    match days {
        0 => "Pay the open invoice and your plan is restored.".to_owned(),
        1 => "1 day of full access to fix it.".to_owned(),
        days => format!("{days} days of full access to fix it."),
    }
}

/// A summary of the plans: name, price and first limit.
#[component]
fn Teaser() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let rows = tollgate
        .catalog()
        .plans()
        .iter()
        .map(|plan| {
            let (price, interval) = match Interval::ALL.iter().find_map(|interval| plan.price(*interval)) {
                Some(price) => (price.amount.to_string(), price.interval),
                None => (free_price(tollgate.catalog()), Interval::Month),
            };
            let first = gains(tollgate.catalog(), plan, None).into_iter().next();
            view! {
                <li class="teaser-plan">
                    <span class="teaser-name">{plan.name.clone()}</span>
                    <span class="teaser-price">{price}<span class="teaser-per">{format!(" / {interval}")}</span></span>
                    <span class="teaser-gain">{first}</span>
                </li>
            }
        })
        .collect_view();
    let days = tollgate.catalog().trial_days();
    view! {
        <aside class="card teaser" aria-label="Plans at a glance">
            <ul>{rows}</ul>
            {(days > 0).then(|| view! { <p class="teaser-note">{format!("Every paid plan starts with a {days}-day free trial.")}</p> })}
        </aside>
    }
}
