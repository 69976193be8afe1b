//! `/admin/events?state=&about=&after=`

use engine::store::inbox::{EventFilter, EventState};
use leptos::prelude::*;
use server::admin::events;

use super::event_table::EventTable;
use super::filter::{Choice, FilterForm, Search};
use super::older::Older;
use super::sections::Sections;
use crate::caller::Operator;
use crate::components::{Empty, Glyph, Heading, operator_page};
use crate::failure::Failure;
use crate::query::{after, parameter};

const STATES: [EventState; 5] =
    [EventState::Pending, EventState::Parked, EventState::Unmatched, EventState::Done, EventState::Ignored];

/// Events, newest first, filtered by state and object.
#[component]
pub fn Events() -> impl IntoView {
    let state = parameter("state").as_deref().and_then(EventState::parse);
    let about = parameter("about").map(|about| about.trim().to_owned()).filter(|about| !about.is_empty());
    let cursor = after("after");
    operator_page("Events", move |Operator { tollgate, permit }| async move {
        let filter = EventFilter { state, about: about.clone() };
        let page = events::events(&tollgate, &permit, &filter, &cursor).await.map_err(Failure::store)?;
        let kept = vec![
            ("state", state.map_or("", EventState::as_str).to_owned()),
            ("about", about.clone().unwrap_or_default()),
        ];
        let body = if page.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No events">
                    "Events from Stripe appear here with their state."
                </Empty>
            }
            .into_any()
        } else {
            view! {
                <EventTable events=page.rows/>
                <Older path="/admin/events" kept next=page.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Events"/>
            <Sections/>
            <section class="card" aria-label="Events">
                <FilterForm action="/admin/events" label="Filter events">
                    <Choice name="state" label="State" values=STATES.map(EventState::as_str).to_vec() chosen=state.map(EventState::as_str)/>
                    <Search
                        name="about"
                        label="Type, id, object or customer"
                        value=about.unwrap_or_default()
                        placeholder="invoice.paid, sub_…, cus_…"
                    />
                </FilterForm>
                {body}
            </section>
        }
        .into_any())
    })
}
