//! How much of a meter is used: in words first, the bar repeats them.

use billing::Timestamp;
use billing::money::grouped;
use leptos::prelude::*;

use super::moment::Moment;
use crate::api::MeterUsage;

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

/// Credits left and used, and what is billed.
fn beyond(meter: &MeterUsage) -> String {
    let mut parts = Vec::new();
    match meter.credits {
        0 => {}
        credits if credits > 0 => parts.push(format!("{} credits left.", grouped(credits.unsigned_abs()))),
        credits => {
            parts.push(format!("{} credits were refunded after they were used.", grouped(credits.unsigned_abs())));
        }
    }
    if meter.from_credits > 0 {
        parts.push(format!("{} used out of credits.", grouped(meter.from_credits)));
    }
    if meter.overage > 0 {
        parts.push(format!("{} used beyond the limit, and billed.", grouped(meter.overage)));
    }
    parts.join(" ")
}

/// One meter: used, limit and when it resets.
#[component]
pub fn UsageMeter(meter: MeterUsage) -> impl IntoView {
    let beyond = beyond(&meter);
    let MeterUsage { key, label, used, limit, .. } = meter;
    let id = format!("meter-{key}");
    let bar = limit.filter(|limit| *limit > 0).map(|limit| {
        view! {
            <progress
                class=format!("meter-bar meter-{}", level(used, limit))
                max=limit.to_string()
                value=used.min(limit).to_string()
                aria-labelledby=id.clone()
            ></progress>
        }
    });
    let words = match limit {
        None => format!("{} used, no limit", grouped(used)),
        Some(0) => "Not part of this plan".to_owned(),
        Some(limit) => format!("{} of {} used", grouped(used), grouped(limit)),
    };
    let words = match meter.reserved {
        0 => words,
        reserved => format!("{words}, {} under way", grouped(reserved)),
    };
    let is_used_up = limit.is_some_and(|limit| limit > 0 && used >= limit);
    view! {
        <div class="meter">
            <p class="meter-head">
                <span class="meter-label" id=id>{label}</span>
                <span class="meter-words">{words}</span>
            </p>
            {bar}
            <p class="meter-note">{is_used_up.then_some("Used up. ")} "Resets on " <Moment at=Timestamp(meter.resets_at)/> "."</p>
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
