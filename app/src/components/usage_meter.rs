//! How much of a meter is used: in words first, the bar repeats them.

use billing::money::grouped;
use billing::{Catalog, Limit};
use leptos::prelude::*;
use server::MeterReading;

use super::Moment;

/// The tone of a bar: it changes at 80 and at 100 percent.
fn level(used: u64, limit: u64) -> &'static str {
    if used >= limit {
        "full"
    } else if u128::from(used) * 100 >= u128::from(limit) * 80 {
        "high"
    } else {
        "calm"
    }
}

/// What there is beyond the limit: credits left and used, and what is billed.
fn beyond(reading: &MeterReading) -> String {
    let mut parts = Vec::new();
    match reading.credits {
        0 => {}
        credits if credits > 0 => parts.push(format!("{} credits left.", grouped(credits.unsigned_abs()))),
        credits => {
            parts.push(format!("{} credits were refunded after they were used.", grouped(credits.unsigned_abs())));
        }
    }
    if reading.from_credits > 0 {
        parts.push(format!("{} used out of credits.", grouped(reading.from_credits)));
    }
    if reading.overage > 0 {
        parts.push(format!("{} used beyond the limit, and billed.", grouped(reading.overage)));
    }
    parts.join(" ")
}

/// A meter for each reading, under its label from the catalogue.
pub fn usage_meters(readings: Vec<MeterReading>, catalog: &Catalog) -> Vec<AnyView> {
    let meter = |reading: MeterReading| {
        let label = catalog.meter_label(reading.meter).to_owned();
        view! { <UsageMeter label reading/> }.into_any()
    };
    readings.into_iter().map(meter).collect()
}

/// One meter: used, limit and when it resets.
#[component]
fn UsageMeter(label: String, reading: MeterReading) -> impl IntoView {
    let MeterReading { meter, used, limit, window, .. } = reading;
    let beyond = beyond(&reading);
    let id = format!("meter-{}", meter.as_str());
    let bar = match limit {
        Limit::Unlimited => None,
        Limit::Finite(0) => None,
        Limit::Finite(limit) => Some(view! {
            <progress
                class=format!("meter-bar meter-{}", level(used, limit))
                max=limit.to_string()
                value=used.min(limit).to_string()
                aria-labelledby=id.clone()
            ></progress>
        }),
    };
    let words = match limit {
        Limit::Unlimited => format!("{} used, no limit", grouped(used)),
        Limit::Finite(0) => "Not part of this plan".to_owned(),
        Limit::Finite(limit) => format!("{} of {} used", grouped(used), grouped(limit)),
    };
    let words = match reading.reserved {
        0 => words,
        reserved => format!("{words}, {} under way", grouped(reserved)),
    };
    let ends = window.end;
    let note = match limit {
        Limit::Finite(limit) if limit > 0 && used >= limit => {
            view! { "Used up. Counts from zero again on " <Moment at=ends/> "." }.into_any()
        }
        _ => view! { "Counts from zero again on " <Moment at=ends/> "." }.into_any(),
    };
    view! {
        <div class="meter">
            <p class="meter-head">
                <span class="meter-label" id=id>{label}</span>
                <span class="meter-words">{words}</span>
            </p>
            {bar}
            <p class="meter-note">{note}</p>
            {(!beyond.is_empty()).then(|| view! { <p class="meter-note">{beyond}</p> })}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn the_tone_changes_at_eighty_and_at_a_hundred_percent() {
        assert_eq!([level(79, 100), level(80, 100), level(99, 100), level(100, 100)], ["calm", "high", "high", "full"]);
        assert_eq!(level(u64::MAX - 1, u64::MAX), "high");
    }
}
