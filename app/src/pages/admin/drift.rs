//! `/admin/drift?state=&kind=&about=&after=`

use billing::{EventId, Timestamp};
use engine::reconcile::DriftKind;
use engine::store::drift::{DriftEntry, DriftFilter, DriftState, Run};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use server::admin::drift;

use super::filter::{Choice, FilterForm, Search};
use super::links::event_address;
use super::older::Older;
use super::sections::Sections;
use crate::api::RunReconciliation;
use crate::caller::Operator;
use crate::components::{Banner, Column, DataTable, Empty, Glyph, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{address, after, parameter};

/// Differences from Stripe, newest first, filtered by kind and state.
#[component]
pub fn Drift() -> impl IntoView {
    let kind = parameter("kind").as_deref().and_then(DriftKind::parse);
    let about = parameter("about").map(|about| about.trim().to_owned()).filter(|about| !about.is_empty());
    let state = parameter("state").as_deref().and_then(DriftState::parse);
    let filter = DriftFilter { state, kind: kind.map(|kind| kind.as_str().to_owned()), subject: about };
    let cursor = after("after");
    let notice = parameter("notice");
    operator_page("Drift", move |Operator { tollgate, permit }| async move {
        let run = drift::last_run(&tollgate, &permit).await.map_err(Failure::store)?;
        let is_complete = run.as_ref().is_some_and(|run| run.error.is_none());
        let page = drift::drift(&tollgate, &permit, &filter, &cursor).await.map_err(Failure::store)?;
        let kept = vec![
            ("state", filter.state.map_or("", DriftState::as_str).to_owned()),
            ("kind", filter.kind.clone().unwrap_or_default()),
            ("about", filter.subject.clone().unwrap_or_default()),
        ];
        let body = if page.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No differences">
                    "Differences from Stripe appear here with their state."
                </Empty>
            }
            .into_any()
        } else {
            view! {
                <DriftTable rows=page.rows/>
                <Older path="/admin/drift" kept next=page.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Drift"/>
            <Sections/>
            {match notice.as_deref() {
                Some("compared") if is_complete => {
                    view! { <Banner tone=Tone::Good title="Stripe sync completed."/> }.into_any()
                }
                Some("comparing") => view! {
                    <Banner tone=Tone::Info title="Stripe sync is still running.">
                        <p>"Differences appear when it finishes. Reload this page in a minute."</p>
                    </Banner>
                }
                .into_any(),
                _ => ().into_any(),
            }}
            <section class="card" aria-label="Differences from Stripe">
                <LastRun run/>
                <CompareNow/>
                <FilterForm action="/admin/drift" label="Filter differences">
                    <Choice name="state" label="State" values=DriftState::ALL.map(DriftState::as_str).to_vec() chosen=filter.state.map(DriftState::as_str)/>
                    <Choice name="kind" label="Kind" values=DriftKind::ALL.map(DriftKind::as_str).to_vec() chosen=kind.map(DriftKind::as_str)/>
                    <Search
                        name="about"
                        label="Object in Stripe"
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

/// The time of the last check, and its error if it failed.
#[component]
pub(super) fn LastRun(run: Option<Run>) -> impl IntoView {
    let Some(run) = run else {
        return view! {
            <Empty glyph=Glyph::Info title="Not checked yet">
                "The first check starts shortly after the server does."
            </Empty>
        }
        .into_any();
    };
    let ended = run.finished_at.unwrap_or(run.started_at);
    view! {
        <p class="quiet">"Last checked " <Moment at=Timestamp(ended)/> {run.is_dry.then_some(" (dry run)")} "."</p>
        {run.error.map(|error| view! { <Banner tone=Tone::Warning title="The last check failed."><p>{error}</p></Banner> })}
    }
    .into_any()
}

/// The button that compares with Stripe and repairs what is safe to repair.
#[component]
pub(super) fn CompareNow() -> impl IntoView {
    view! {
        <form method="post" action=RunReconciliation::url()>
            <button class="button" type="submit">"Check now"</button>
        </form>
    }
}

/// Returns the label of a kind.
pub(super) fn kind_text(kind: &str) -> String {
    kind.replace('_', " ")
}

#[component]
fn DriftTable(rows: Vec<DriftEntry>) -> impl IntoView {
    let rows = rows.into_iter().map(|row| view! { <DriftRow row/> }).collect_view();
    view! {
        <DataTable
            label="Differences, table"
            columns=[Column::Text("Difference"), Column::Text("State"), Column::Text("Found"), Column::Text("Last checked")]
        >
            {rows}
        </DataTable>
    }
}

#[component]
fn DriftRow(row: DriftEntry) -> impl IntoView {
    let is_event = row.subject.starts_with("evt_");
    // An event that was not received cannot be shown.
    let is_stored = !is_event || (row.state != DriftState::Open && row.kind == DriftKind::MissedEvent.as_str());
    let href = if is_event {
        event_address(&EventId::new(&row.subject))
    } else {
        address("/admin/events", &[("about", row.subject.as_str())])
    };
    let text = kind_text(&row.kind);
    let next_step =
        DriftKind::parse(&row.kind).and_then(DriftKind::next_step).filter(|_| row.state == DriftState::Open);
    view! {
        <tr>
            <th scope="row">
                {if is_stored { view! { <a href=href>{text}</a> }.into_any() } else { text.into_any() }}
                <p class="quiet">{row.description}</p>
                {next_step.map(|next_step| view! { <p class="quiet">{next_step}</p> })}
            </th>
            <td><DriftBadge state=row.state/></td>
            <td><Moment at=row.found_at/></td>
            <td><Moment at=row.seen_at/></td>
        </tr>
    }
}

#[component]
fn DriftBadge(state: DriftState) -> impl IntoView {
    let class = match state {
        DriftState::Open => "badge badge-warning",
        DriftState::Fixed => "badge badge-good",
        DriftState::Resolved => "badge",
    };
    view! { <span class=class>{state.as_str()}</span> }
}
