//! `/dashboard/analytics?range=`: meters, usage by day as charts and a table, and usage by key.

use billing::money::grouped;
use billing::{Meter, MeterDefinition};
use leptos::prelude::*;
use server::workspace::UsageRange;
use server::workspace::analytics::{self, DayUsage, SourceUsage};

use crate::api::Usage;
use crate::areas::ANALYTICS;
use crate::caller::Caller;
use crate::components::{Column, DataTable, Day, Empty, Gate, Glyph, UsageMeter, UsageNotices};
use crate::failure::Failure;
use crate::islands::LiveMeters;
use crate::query::parameter;

/// Usage over a range of days.
#[component]
pub fn Analytics() -> impl IntoView {
    let range = parameter("range").as_deref().and_then(UsageRange::parse).unwrap_or_default();
    let inside = move |Caller { tollgate, permit, .. }| async move {
        let analytics = analytics::analytics(&tollgate, &permit, range).await.map_err(Failure::store)?;
        let usage = Usage::of(tollgate.catalog(), &analytics.usage);
        let meters = usage.meters.into_iter().map(|meter| view! { <UsageMeter meter/> }).collect_view();
        let is_empty = analytics.days.iter().all(|day| day.counts.values().all(|count| *count == 0));
        let by_day = if is_empty {
            view! {
                <Empty glyph=Glyph::Chart title="No usage in this range">
                    "Usage appears here on the day it happens. " <a href="/dashboard/api-keys">"Create an API key"</a>
                </Empty>
            }
            .into_any()
        } else {
            view! { <ByDay meters=tollgate.catalog().meters().to_vec() days=analytics.days/> <ByKey meters=tollgate.catalog().meters().to_vec() sources=analytics.sources/> }.into_any()
        };
        Ok(view! {
            <UsageNotices notices=usage.notices here=ANALYTICS.path/>
            <section class="card" aria-labelledby="window-title">
                <h2 id="window-title">"This period"</h2>
                <LiveMeters>{meters}</LiveMeters>
            </section>
            <section class="card" aria-labelledby="days-title">
                <div class="card-head">
                    <h2 id="days-title">"Daily usage"</h2>
                    <Ranges chosen=range/>
                </div>
                {by_day}
                <p class="actions">
                    <a class="button" href=format!("{}/export?range={}", ANALYTICS.path, range.as_str()) download="">"Export as CSV"</a>
                </p>
            </section>
        }
        .into_any())
    };
    view! { <Gate area=&ANALYTICS inside/> }
}

/// The range switch: links, so that it needs no script.
#[component]
fn Ranges(chosen: UsageRange) -> impl IntoView {
    let links = UsageRange::ALL
        .into_iter()
        .map(|range| {
            let href = format!("{}?range={}", ANALYTICS.path, range.as_str());
            view! { <li><a href=href aria-current=(range == chosen).then_some("true")>{range.label()}</a></li> }
        })
        .collect_view();
    view! {
        <nav class="switch" aria-label="Date range">
            <ul>{links}</ul>
        </nav>
    }
}

/// Usage by API key.
#[component]
fn ByKey(meters: Vec<MeterDefinition>, sources: Vec<SourceUsage>) -> impl IntoView {
    let rows = sources
        .into_iter()
        .map(|source| {
            let counts = meters
                .iter()
                .map(|each| {
                    let count = source.counts.get(&each.meter).copied().unwrap_or(0);
                    view! { <td class="number">{grouped(count)}</td> }
                })
                .collect_view();
            let name = match source.key {
                None => view! { "No key (signed in)" }.into_any(),
                Some(key) => {
                    let revoked = key.is_revoked.then_some(", revoked");
                    view! { {key.name} " " <code>{key.hint}</code> {revoked} }.into_any()
                }
            };
            view! { <tr><th scope="row">{name}</th>{counts}</tr> }
        })
        .collect_view();
    view! {
        <h3>"By key"</h3>
        <DataTable label="By key" columns=columns("Key", &meters)>{rows}</DataTable>
    }
}

#[component]
fn ByDay(meters: Vec<MeterDefinition>, days: Vec<DayUsage>) -> impl IntoView {
    let charts = meters.iter().map(|each| view! { <Bars meter=each.clone() days=days.clone()/> }).collect_view();
    let rows = days
        .into_iter()
        .map(|day| {
            let counts = meters
                .iter()
                .map(|each| view! { <td class="number">{grouped(count(&day, each.meter))}</td> })
                .collect_view();
            view! { <tr><th scope="row"><Day at=day.day/></th>{counts}</tr> }
        })
        .collect_view();
    view! {
        <div class="charts">{charts}</div>
        <details class="table-details">
            <summary>"Show as table"</summary>
            <DataTable label="Usage by day, table" columns=columns("Day (UTC)", &meters)>{rows}</DataTable>
        </details>
    }
}

/// Returns a text column and one for each meter.
fn columns(first: &'static str, meters: &[MeterDefinition]) -> Vec<Column> {
    std::iter::once(Column::Text(first)).chain(meters.iter().map(|each| Column::Number(each.label.clone()))).collect()
}

fn count(day: &DayUsage, meter: Meter) -> u64 {
    day.counts.get(&meter).copied().unwrap_or(0)
}

const BAR: usize = 10;
const STEP: usize = 14;
const HEIGHT: u64 = 96;
/// The minimum number of days in a chart's width, so that a shorter range has no wider bars.
const DAYS: usize = 30;

/// A bar for each day. The tallest fills the height.
#[component]
fn Bars(meter: MeterDefinition, days: Vec<DayUsage>) -> impl IntoView {
    let counts: Vec<u64> = days.iter().map(|day| count(day, meter.meter)).collect();
    let peak = counts.iter().copied().max().unwrap_or(0);
    let total = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let width = counts.len().max(DAYS) * STEP - (STEP - BAR);
    let text = match total {
        0 => "No usage in this range".to_owned(),
        _ => format!("{} total · peak {}/day", grouped(total), grouped(peak)),
    };
    let label = format!("{}: {text}", meter.label);
    let first = days.first().filter(|_| total > 0).map(|day| day.day);
    let bars = counts
        .iter()
        .enumerate()
        .map(|(index, count)| {
            let height = bar_height(*count, peak);
            view! {
                <rect
                    class="bar"
                    class:bar-empty=*count == 0
                    x=(index * STEP).to_string()
                    y=(HEIGHT - height).to_string()
                    width=BAR.to_string()
                    height=height.to_string()
                ></rect>
            }
        })
        .collect_view();
    view! {
        <figure class="chart">
            <figcaption>
                <span>{meter.label}</span>
                <span class="quiet">{text}</span>
            </figcaption>
            {first.map(|first| view! {
                <svg viewBox=format!("0 0 {width} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=label>{bars}</svg>
                <p class="chart-from">"Since " <Day at=first/></p>
            })}
        </figure>
    }
}

/// Returns a bar's height. A day with any usage has a visible bar.
fn bar_height(count: u64, peak: u64) -> u64 {
    if count == 0 {
        return 1;
    }
    let scaled = u128::from(count) * u128::from(HEIGHT) / u128::from(peak.max(1));
    u64::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_fills_the_chart_and_a_single_call_is_visible() {
        assert_eq!(bar_height(500, 500), HEIGHT);
        assert_eq!(bar_height(1, u64::MAX), 2);
        assert_eq!(bar_height(0, 500), 1);
        assert_eq!(bar_height(u64::MAX, u64::MAX), HEIGHT);
    }
}
