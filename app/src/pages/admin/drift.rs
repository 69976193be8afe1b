//! `/admin/drift?state=&kind=&about=&after=`

use billing::{EventId, Timestamp};
use leptos::prelude::*;
use server::operations;
use server::reconcile::DriftKind;
use server::store::drift::{DriftState, Filter, Listed, Run};

use super::filter::{Choice, FilterForm, Search};
use super::{Older, Sections, event_address};
use crate::components::{Banner, Column, DataTable, Empty, Glyph, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{address, after, parameter};

/// What differs from Stripe or once did, newest first, by class and by what became of it.
#[component]
pub fn Drift() -> impl IntoView {
    let kind = parameter("kind").as_deref().and_then(DriftKind::parse);
    let about = parameter("about").map(|about| about.trim().to_owned()).filter(|about| !about.is_empty());
    let state = parameter("state").as_deref().and_then(DriftState::parse);
    let filter = Filter { state, kind: kind.map(|kind| kind.as_str().to_owned()), subject: about };
    let place = after("after");
    let notice = parameter("notice");
    operator_page("Drift", move |tollgate, permit| async move {
        let run = operations::comparison(&tollgate, &permit).await.map_err(Failure::store)?;
        let is_complete = run.as_ref().is_some_and(|run| run.error.is_none());
        let table = operations::drift(&tollgate, &permit, &filter, &place).await.map_err(Failure::store)?;
        let kept = vec![
            ("state", filter.state.map_or("", DriftState::as_str).to_owned()),
            ("kind", filter.kind.clone().unwrap_or_default()),
            ("about", filter.subject.clone().unwrap_or_default()),
        ];
        let body = if table.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No such differences">
                    "What a comparison with Stripe finds is listed here, with what became of it."
                </Empty>
            }
            .into_any()
        } else {
            view! {
                <DriftTable rows=table.rows/>
                <Older path="/admin/drift" kept next=table.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Drift"/>
            <Sections/>
            {match notice.as_deref() {
                Some("compared") if is_complete => {
                    view! { <Banner tone=Tone::Good title="Compared with Stripe."/> }.into_any()
                }
                Some("comparing") => view! {
                    <Banner tone=Tone::Info title="Still comparing.">
                        <p>"There is much to read. Reload this page in a while: what is found is listed when all of it was read."</p>
                    </Banner>
                }
                .into_any(),
                _ => ().into_any(),
            }}
            <section class="card" aria-label="Differences from Stripe">
                <Comparison run/>
                <CompareNow/>
                <FilterForm action="/admin/drift" label="Filter differences">
                    <Choice name="state" label="State" words=DriftState::ALL.map(DriftState::as_str).to_vec() chosen=filter.state.map(DriftState::as_str)/>
                    <Choice name="kind" label="Kind" words=DriftKind::ALL.map(DriftKind::as_str).to_vec() chosen=kind.map(DriftKind::as_str)/>
                    <Search
                        name="about"
                        label="Object at Stripe"
                        value=filter.subject.unwrap_or_default()
                        placeholder="sub_…, cus_…, evt_…"
                    />
                </FilterForm>
                {body}
            </section>
        }
        .into_any())
    })
}

/// When everything was last compared, and what stood in the way if something did.
#[component]
pub(super) fn Comparison(run: Option<Run>) -> impl IntoView {
    let Some(run) = run else {
        return view! {
            <Empty glyph=Glyph::Info title="Not compared yet">
                "Half a minute after a start, and then every hour, everything is compared with Stripe."
            </Empty>
        }
        .into_any();
    };
    let ended = run.finished_at.unwrap_or(run.started_at);
    view! {
        <p class="quiet">"Last on " <Moment at=Timestamp(ended)/> {run.is_dry.then_some(", looking only")} "."</p>
        {run.error.map(|error| view! { <Banner tone=Tone::Warning title="It did not come to its end."><p>{error}</p></Banner> })}
    }
    .into_any()
}

/// Compares, mends what is safe, and shows what was found.
#[component]
pub(super) fn CompareNow() -> impl IntoView {
    view! {
        <form method="post" action="/admin/compare">
            <button class="button" type="submit">"Compare now"</button>
        </form>
    }
}

/// A class as people say it.
pub(super) fn kind_words(kind: &str) -> String {
    kind.replace('_', " ")
}

#[component]
fn DriftTable(rows: Vec<Listed>) -> impl IntoView {
    let rows = rows.into_iter().map(|row| view! { <DriftRow row/> }).collect_view();
    view! {
        <DataTable
            label="Differences, table"
            columns=[Column::Text("What differs"), Column::Text("State"), Column::Text("Found"), Column::Text("Last looked at")]
        >
            {rows}
        </DataTable>
    }
}

#[component]
fn DriftRow(row: Listed) -> impl IntoView {
    let state = DriftState::parse(&row.state);
    let is_event = row.subject.starts_with("evt_");
    // An event that is not here cannot be shown.
    let is_here = !is_event || (state != Some(DriftState::Left) && row.kind == DriftKind::MissedEvent.as_str());
    let href = if is_event {
        event_address(&EventId::new(&row.subject))
    } else {
        address("/admin/events", &[("about", row.subject.as_str())])
    };
    let words = kind_words(&row.kind);
    view! {
        <tr>
            <th scope="row">
                {if is_here { view! { <a href=href>{words}</a> }.into_any() } else { words.into_any() }}
                <p class="quiet">{row.sentence}</p>
            </th>
            <td>{state.map(|state| view! { <DriftBadge state/> })}</td>
            <td><Moment at=Timestamp(row.found_at)/></td>
            <td><Moment at=Timestamp(row.seen_at)/></td>
        </tr>
    }
}

#[component]
fn DriftBadge(state: DriftState) -> impl IntoView {
    let class = match state {
        DriftState::Left => "badge badge-warning",
        DriftState::Mended => "badge badge-good",
        DriftState::Gone => "badge",
    };
    view! { <span class=class>{state.as_str()}</span> }
}
