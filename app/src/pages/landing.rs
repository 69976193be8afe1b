//! `/`: what this is, what it costs, two ways on.

use billing::{Catalog, Interval};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use server::Tollgate;
use server::auth::Visitor;

use crate::areas::AREAS;
use crate::components::{Banner, Glyph, Icon, Tone, free_price, gains};
use crate::query::parameter;

/// The start page.
#[component]
pub fn Landing() -> impl IntoView {
    let is_closed = parameter("notice").as_deref() == Some("closed");
    let is_signed_in = expect_context::<Visitor>().signed_in.is_some();
    let (href, name) =
        if is_signed_in { ("/dashboard", "Open the dashboard") } else { ("/signup", "Create a free account") };
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
        <Title text="Plans, limits and a gate that keeps them"/>
        <Meta name="description" content="Start free, pay when you grow. Every plan says what it includes, what is used and when it renews."/>
        {is_closed.then(|| view! {
            <Banner tone=Tone::Good title="Your account is closed.">
                <p>"Nothing is charged any more. What you have paid is kept, as the law asks; everything else is deleted."</p>
            </Banner>
        })}
        <section class="hero" aria-labelledby="hero-title">
            <div class="hero-text">
                <h1 id="hero-title">"Start free. "<span class="hero-turn">"Pay when you grow."</span></h1>
                <p class="hero-lead">
                    "An API with limits you can read. You always see what your plan includes, what you have used and when it renews."
                </p>
                <p class="actions">
                    <a class="button button-primary button-large" href=href>{name}</a>
                    <a class="button button-large" href="/pricing">"See the plans" <Icon glyph=Glyph::Arrow/></a>
                </p>
                <p class="quiet">"No card needed to start."</p>
            </div>
            <Teaser/>
        </section>
        <section class="opens" aria-labelledby="opens-title">
            <h2 id="opens-title">"What a plan opens"</h2>
            <ul class="opens-list">{areas}</ul>
        </section>
        <section class="promises" aria-labelledby="promises-title">
            <h2 id="promises-title">"No surprises"</h2>
            <dl class="promise-list">
                <div>
                    <dt>"The price is the price"</dt>
                    <dd>{beyond_a_limit(expect_context::<Tollgate>().catalog())}</dd>
                </div>
                <div>
                    <dt>"A failed card is not the end"</dt>
                    <dd>"Everything stays open for some days, and every page says until when."</dd>
                </div>
                <div>
                    <dt>"Leaving costs nothing"</dt>
                    <dd>"A cancelled plan runs to the end of what was paid for. Then you are on the free plan again."</dd>
                </div>
            </dl>
        </section>
    }
}

/// What happens beyond a limit, as the catalogue has it.
fn beyond_a_limit(catalog: &Catalog) -> &'static str {
    if catalog.metered_prices().next().is_some() {
        "You're charged what the plan says. Usage beyond a limit is billed per unit, and your billing page shows it as it grows."
    } else {
        "You're charged what the plan says. When you reach a limit, further calls are rejected; nothing extra is billed."
    }
}

/// The plans as one would see them from afar: a name, a price, the first limit.
#[component]
fn Teaser() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let rows = tollgate
        .catalog()
        .plans()
        .iter()
        .map(|plan| {
            let price = plan.price(Interval::Month).map(|price| price.amount.to_string());
            let price = price.unwrap_or_else(|| free_price(tollgate.catalog()));
            let first = gains(tollgate.catalog(), plan, None).into_iter().next();
            view! {
                <li class="teaser-plan">
                    <span class="teaser-name">{plan.name.clone()}</span>
                    <span class="teaser-price">{price}<span class="teaser-per">" / month"</span></span>
                    <span class="teaser-gain">{first}</span>
                </li>
            }
        })
        .collect_view();
    let days = tollgate.catalog().trial_days();
    view! {
        <aside class="card teaser" aria-label="Plans at a glance">
            <ul>{rows}</ul>
            {(days > 0).then(|| view! { <p class="teaser-note">{format!("Every paid plan begins with {days} days free.")}</p> })}
        </aside>
    }
}
