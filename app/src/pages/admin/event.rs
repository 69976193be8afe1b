//! `/admin/event?id=evt_…`

use billing::EventId;
use engine::store::inbox::{EventState, EventSummary};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use server::admin::events;

use super::sections::Sections;
use crate::api::ReplayEvent;
use crate::caller::Operator;
use crate::components::{Banner, EventBadge, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{address, parameter};

/// An event with its payload, and the button that replays it.
#[component]
pub fn EventPage() -> impl IntoView {
    let id = EventId::new(parameter("id").unwrap_or_default());
    let is_replayed = parameter("notice").as_deref() == Some("replayed");
    operator_page("Event", move |Operator { tollgate, permit }| async move {
        let found = events::event(&tollgate, &permit, &id).await.map_err(Failure::store)?;
        let event = found.ok_or(Failure::NotFound)?;
        Ok(view! {
            <Heading title=event.summary.kind.clone()/>
            <Sections/>
            {is_replayed.then(|| view! {
                <Banner tone=Tone::Good title="The event will be replayed.">
                    <p>"Reload this page in a moment to see the result."</p>
                </Banner>
            })}
            <Facts event=event.summary/>
            <section class="card" aria-labelledby="payload-title">
                <h2 id="payload-title">"Payload"</h2>
                <pre class="payload" tabindex="0">{event.payload}</pre>
            </section>
        }
        .into_any())
    })
}

#[component]
fn Facts(event: EventSummary) -> impl IntoView {
    let subject = event.subject.map(|subject| {
        let href = address("/admin/events", &[("about", subject.as_str())]);
        view! { <div><dt>"Object"</dt><dd><a href=href><code>{subject}</code></a></dd></div> }
    });
    let customer = event.customer.map(|customer| {
        let href = address("/admin/accounts", &[("search", customer.as_str())]);
        view! { <div><dt>"Customer"</dt><dd><a href=href><code>{customer}</code></a></dd></div> }
    });
    let can_replay = event.state != EventState::Ignored;
    let id = event.id.to_string();
    view! {
        <section class="card" aria-labelledby="facts-title">
            <h2 id="facts-title"><code>{id.clone()}</code></h2>
            <dl class="facts">
                <div><dt>"State"</dt><dd><EventBadge state=event.state/></dd></div>
                <div><dt>"Received"</dt><dd><Moment at=event.received_at/></dd></div>
                <div><dt>"Attempts"</dt><dd>{event.attempts}</dd></div>
                {subject}
                {customer}
                {event.last_error.map(|error| view! { <div><dt>"Last error"</dt><dd>{error}</dd></div> })}
            </dl>
            {can_replay.then(|| view! {
                <form method="post" action=ReplayEvent::url()>
                    <input type="hidden" name="id" value=id/>
                    <button class="button button-primary" type="submit">"Replay"</button>
                    <p class="quiet">"Safe for every event: the object is fetched from Stripe again, so replaying twice has the same result."</p>
                </form>
            })}
        </section>
    }
}
