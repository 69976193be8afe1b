//! `/admin/events?state=&about=&after=`

use leptos::prelude::*;
use server::operations;
use server::store::inbox::{EventState, Filter};

use super::{EventTable, Older, Sections};
use crate::components::{Empty, Glyph, Heading, operator_page};
use crate::failure::Failure;
use crate::query::{after, parameter};

const STATES: [EventState; 5] =
    [EventState::Pending, EventState::Parked, EventState::Unmatched, EventState::Done, EventState::Ignored];

/// Events, newest first, by state and by what they are about.
#[component]
pub fn Events() -> impl IntoView {
    let state = parameter("state").as_deref().and_then(EventState::parse);
    let about = parameter("about").map(|about| about.trim().to_owned()).filter(|about| !about.is_empty());
    let place = after("after");
    operator_page("Events", move |tollgate, permit| async move {
        let filter = Filter { state, about: about.clone() };
        let table = operations::events(&tollgate, &permit, &filter, &place).await.map_err(Failure::store)?;
        let kept = vec![
            ("state", state.map_or("", EventState::as_str).to_owned()),
            ("about", about.clone().unwrap_or_default()),
        ];
        let body = if table.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No such events">
                    "What Stripe sends is listed here as soon as it is written down, with what became of it."
                </Empty>
            }
            .into_any()
        } else {
            view! {
                <EventTable events=table.rows/>
                <Older path="/admin/events" kept next=table.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Events"/>
            <Sections/>
            <section class="card" aria-label="Events">
                <FilterForm state about=about.unwrap_or_default()/>
                {body}
            </section>
        }
        .into_any())
    })
}

#[component]
fn FilterForm(state: Option<EventState>, about: String) -> impl IntoView {
    let options = STATES
        .into_iter()
        .map(|each| view! { <option value=each.as_str() selected=state == Some(each)>{each.as_str()}</option> })
        .collect_view();
    view! {
        <form class="filter" method="get" action="/admin/events" role="search" aria-label="Filter events">
            <div class="field">
                <label for="state">"State"</label>
                <select id="state" name="state">
                    <option value="">"any"</option>
                    {options}
                </select>
            </div>
            <div class="field">
                <label for="about">"Type, id, object or customer"</label>
                <input id="about" name="about" type="search" value=about placeholder="invoice.paid, sub_…, cus_…"/>
            </div>
            <button class="button" type="submit">"Filter"</button>
        </form>
    }
}
