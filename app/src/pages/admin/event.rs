//! `/admin/event?id=evt_…`

use billing::{EventId, Timestamp};
use leptos::prelude::*;
use server::operations::{self, EventDetail};
use server::store::inbox::EventState;

use super::Sections;
use crate::components::{Banner, EventBadge, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{address, parameter};

/// One event, with the body that was signed, and the button that makes it due again.
#[component]
pub fn EventPage() -> impl IntoView {
    let id = EventId::new(parameter("id").unwrap_or_default());
    let is_replayed = parameter("notice").as_deref() == Some("replayed");
    operator_page("Event", move |tollgate, permit| async move {
        let found = operations::event(&tollgate, &permit, &id).await.map_err(Failure::store)?;
        let event = found.ok_or(Failure::NotFound)?;
        Ok(view! {
            <Heading title=event.listed.kind.clone()/>
            <Sections/>
            {is_replayed.then(|| view! {
                <Banner tone=Tone::Good title="It is due again.">
                    <p>"A worker takes it within seconds. Reload this page to see what became of it."</p>
                </Banner>
            })}
            <Facts event=event.clone()/>
            <section class="card" aria-labelledby="payload-title">
                <h2 id="payload-title">"As it was signed"</h2>
                <pre class="payload" tabindex="0">{event.payload}</pre>
            </section>
        }
        .into_any())
    })
}

#[component]
fn Facts(event: EventDetail) -> impl IntoView {
    let listed = event.listed;
    let state = EventState::parse(&listed.state);
    let related = listed.subject.clone().map(|subject| {
        let href = address("/admin/events", &[("about", subject.as_str())]);
        view! { <div><dt>"Belongs to"</dt><dd><a href=href><code>{subject}</code></a></dd></div> }
    });
    let customer = listed.customer_id.clone().map(|customer| {
        let href = address("/admin/accounts", &[("search", customer.as_str())]);
        view! { <div><dt>"Customer"</dt><dd><a href=href><code>{customer}</code></a></dd></div> }
    });
    let can_replay = state.is_some_and(|state| state != EventState::Ignored);
    let id = listed.event_id.clone();
    view! {
        <section class="card" aria-labelledby="facts-title">
            <h2 id="facts-title"><code>{listed.event_id}</code></h2>
            <dl class="facts">
                <div><dt>"State"</dt><dd>{state.map(|state| view! { <EventBadge state/> })}</dd></div>
                <div><dt>"Received"</dt><dd><Moment at=Timestamp(listed.received_at)/></dd></div>
                <div><dt>"Tries"</dt><dd>{listed.attempts}</dd></div>
                {related}
                {customer}
                {listed.last_error.map(|error| view! { <div><dt>"Last error"</dt><dd>{error}</dd></div> })}
            </dl>
            {can_replay.then(|| view! {
                <form method="post" action="/admin/replay">
                    <input type="hidden" name="id" value=id/>
                    <button class="button button-primary" type="submit">"Apply again"</button>
                    <p class="quiet">"Safe for any event: what it is about is asked of Stripe anew, and doing it twice ends in the same."</p>
                </form>
            })}
        </section>
    }
}
