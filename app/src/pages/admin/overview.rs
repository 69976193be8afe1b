//! `/admin`: how everything stands.

use billing::Timestamp;
use leptos::prelude::*;
use server::operations;
use server::store::drift::{Found, Run};
use server::store::inbox::EventState;

use super::Sections;
use crate::components::{Banner, Empty, EventBadge, Glyph, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{address, parameter};

/// Events by state, and what differs from Stripe.
#[component]
pub fn Overview() -> impl IntoView {
    let is_compared = parameter("notice").as_deref() == Some("compared");
    operator_page("Operations", move |tollgate, permit| async move {
        let overview = operations::overview(&tollgate, &permit).await.map_err(Failure::store)?;
        Ok(view! {
            <Heading title="Operations"/>
            <Sections/>
            {is_compared.then(|| view! { <Banner tone=Tone::Good title="Compared with Stripe."/> })}
            <div class="split">
                <Inbox events=overview.events oldest=overview.oldest_pending/>
                <Drift drift=overview.drift/>
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
fn Drift(drift: Option<(Run, Vec<Found>)>) -> impl IntoView {
    let body = match drift {
        None => view! {
            <Empty glyph=Glyph::Info title="Not compared yet">
                "Half a minute after a start, and then every hour, everything is compared with Stripe."
            </Empty>
        }
        .into_any(),
        Some((run, found)) => view! { <Comparison run found/> }.into_any(),
    };
    view! {
        <section class="card" aria-labelledby="drift-title">
            <h2 id="drift-title">"Compared with Stripe"</h2>
            {body}
            <form method="post" action="/admin/compare">
                <button class="button" type="submit">"Compare now"</button>
            </form>
        </section>
    }
}

#[component]
fn Comparison(run: Run, found: Vec<Found>) -> impl IntoView {
    let ended = run.finished_at.unwrap_or(run.started_at);
    let rows = found
        .into_iter()
        .map(|one| {
            let (word, class) =
                if one.is_mended { ("Mended", "badge badge-good") } else { ("Left", "badge badge-warning") };
            view! { <li><span class=class>{word}</span> " " {one.sentence}</li> }
        })
        .collect_view();
    let is_empty = rows.is_empty();
    view! {
        <p class="quiet">"Last on " <Moment at=Timestamp(ended)/> {run.is_dry.then_some(", looking only")} "."</p>
        {run.error.map(|error| view! { <Banner tone=Tone::Warning title="It did not come to its end."><p>{error}</p></Banner> })}
        {if is_empty {
            view! { <p>"Nothing differed."</p> }.into_any()
        } else {
            view! { <ul class="findings">{rows}</ul> }.into_any()
        }}
    }
}
