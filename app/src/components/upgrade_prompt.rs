//! The offer of the plan that includes an area.

use billing::Tier;
use leptos::prelude::*;
use leptos_meta::Title;
use server::Tollgate;

use super::icon::{Glyph, Icon};
use crate::areas::Area;
use crate::query::with_next;

/// A prompt to upgrade to tier `needed` for `area`, with a link to the upgrade page.
#[component]
pub fn UpgradePrompt(area: &'static Area, needed: Tier) -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let plan = tollgate.catalog().plan(&needed).map_or_else(|| needed.to_string(), |plan| plan.name.clone());
    let href = with_next("/billing/upgrade", area.path);
    view! {
        <Title text=area.title/>
        <section class="narrow prompt" aria-labelledby="prompt-title">
            <Icon glyph=Glyph::Lock/>
            <h1 id="prompt-title">{format!("Get {} with {plan}", area.title)}</h1>
            <p class="lead">{area.summary}</p>
            <p class="actions">
                <a class="button button-primary" href=href>{format!("Upgrade to {plan}")}</a>
                <a class="button" href="/dashboard">"Back to dashboard"</a>
            </p>
        </section>
    }
}
