//! `/admin`: everybody's billing, for operators. For anybody else none of it exists.

pub mod account;
pub mod accounts;
pub mod drift;
pub mod event;
pub mod events;
mod filter;
pub mod overview;

use axum::http::request::Parts;
use billing::{EventId, Timestamp};
use leptos::prelude::*;
use server::store::After;
use server::store::inbox::{EventState, Listed};

use crate::components::{Column, DataTable, EventBadge, Moment};
use crate::query::{address, after_value};

const SECTIONS: [(&str, &str); 4] =
    [("/admin", "Overview"), ("/admin/events", "Events"), ("/admin/accounts", "Accounts"), ("/admin/drift", "Drift")];

/// The ways between the pages of this section.
#[component]
fn Sections() -> impl IntoView {
    let here = use_context::<Parts>().map(|parts| parts.uri.path().to_owned()).unwrap_or_default();
    let links = SECTIONS
        .into_iter()
        .map(|(href, name)| {
            // An event or an account is shown under its own address: `/admin/event`.
            let is_here = here == href || (here != "/admin" && href.starts_with(here.as_str()));
            view! { <li><a href=href aria-current=is_here.then_some("page")>{name}</a></li> }
        })
        .collect_view();
    view! {
        <nav class="switch" aria-label="Operations">
            <ul>{links}</ul>
        </nav>
    }
}

/// The link to the rows after the last one shown.
#[component]
fn Older(path: &'static str, kept: Vec<(&'static str, String)>, next: Option<After>) -> impl IntoView {
    next.map(|next| {
        let place = after_value(&next);
        let mut parameters: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (*name, value.as_str())).collect();
        parameters.push(("after", &place));
        view! { <p class="actions"><a class="button" href=address(path, &parameters)>"Older"</a></p> }
    })
}

/// A table of events.
#[component]
fn EventTable(events: Vec<Listed>) -> impl IntoView {
    let rows = events.into_iter().map(|event| view! { <EventRow event/> }).collect_view();
    view! {
        <DataTable
            label="Events, table"
            columns=[Column::Text("Event"), Column::Text("State"), Column::Text("About"), Column::Text("Received"), Column::Money("Tries")]
        >
            {rows}
        </DataTable>
    }
}

#[component]
fn EventRow(event: Listed) -> impl IntoView {
    let href = event_address(&EventId::new(&event.event_id));
    let about = event.subject.clone().or_else(|| event.customer_id.clone());
    view! {
        <tr>
            <th scope="row">
                <a href=href>{event.kind}</a>
                {event.last_error.map(|error| view! { <p class="quiet">{error}</p> })}
            </th>
            <td>{EventState::parse(&event.state).map(|state| view! { <EventBadge state/> })}</td>
            <td>{about.map(|about| view! { <code>{about}</code> })}</td>
            <td><Moment at=Timestamp(event.received_at)/></td>
            <td class="money">{event.attempts}</td>
        </tr>
    }
}

fn event_address(id: &EventId) -> String {
    address("/admin/event", &[("id", id.as_str())])
}

fn account_address(id: &str) -> String {
    address("/admin/account", &[("id", id)])
}
