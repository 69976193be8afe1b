//! Events as rows.

use engine::store::inbox::EventSummary;
use leptos::prelude::*;

use super::links::event_address;
use crate::components::{Column, DataTable, EventBadge, Moment};

/// A table of events, each linked to its page.
#[component]
pub(super) fn EventTable(events: Vec<EventSummary>) -> impl IntoView {
    let rows = events.into_iter().map(|event| view! { <EventRow event/> }).collect_view();
    view! {
        <DataTable
            label="Events, table"
            columns=[Column::Text("Event"), Column::Text("State"), Column::Text("Object"), Column::Text("Received"), Column::Money("Attempts")]
        >
            {rows}
        </DataTable>
    }
}

#[component]
fn EventRow(event: EventSummary) -> impl IntoView {
    let href = event_address(&event.id);
    let about = event.subject.or(event.customer);
    view! {
        <tr>
            <th scope="row">
                <a href=href>{event.kind}</a>
                {event.last_error.map(|error| view! { <p class="quiet">{error}</p> })}
            </th>
            <td><EventBadge state=event.state/></td>
            <td>{about.map(|about| view! { <code>{about}</code> })}</td>
            <td><Moment at=event.received_at/></td>
            <td class="money">{event.attempts}</td>
        </tr>
    }
}
