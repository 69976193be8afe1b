//! A meter's usage, as text and as a bar.

use billing::Timestamp;
use billing::money::grouped;
use leptos::prelude::*;

use super::moment::Day;
use crate::api::{MeterUsage, OveragePolicy};

/// Returns the level of a bar, which changes at 80 and at 100 percent.
fn level(used: u64, limit: u64) -> &'static str {
    if used >= limit {
        "full"
    } else if u128::from(used) * 100 >= u128::from(limit) * 80 {
        "high"
    } else {
        "calm"
    }
}

/// Returns the text about credits and overage.
fn beyond(meter: &MeterUsage) -> String {
    let mut parts = Vec::new();
    match meter.credits {
        0 => {}
        credits if credits > 0 => parts.push(format!("{} credits left.", grouped(credits.unsigned_abs()))),
        credits => {
            parts.push(format!("{} credits were refunded after you used them.", grouped(credits.unsigned_abs())));
        }
    }
    if meter.from_credits > 0 {
        parts.push(format!("{} used from credits.", grouped(meter.from_credits)));
    }
    if meter.overage > 0 {
        let most = match &meter.overage_policy {
            OveragePolicy::Billed { max, .. } => format!(" of at most {}", grouped(*max)),
            OveragePolicy::Denied => String::new(),
        };
        parts.push(format!("{}{most} billed over the limit.", grouped(meter.overage)));
    }
    parts.join(" ")
}

/// A meter: usage, limit and reset date.
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
    let text = match limit {
        None => format!("{} used, unlimited", grouped(used)),
        Some(0) => "Not included in your plan".to_owned(),
        Some(limit) => format!("{} of {} used", grouped(used), grouped(limit)),
    };
    let text = match meter.reserved {
        0 => text,
        reserved => format!("{text}, {} in progress", grouped(reserved)),
    };
    let is_used_up = limit.is_some_and(|limit| limit > 0 && used >= limit);
    view! {
        <div class="meter">
            <p class="meter-head">
                <span class="meter-label" id=id>{label}</span>
                <span class="meter-text">{text}</span>
            </p>
            {bar}
            <p class="meter-note">{is_used_up.then_some("Used up. ")} "Resets " <Day at=Timestamp(meter.resets_at)/> "."</p>
            {(!beyond.is_empty()).then(|| view! { <p class="meter-note">{beyond}</p> })}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn the_level_changes_at_eighty_and_at_a_hundred_percent() {
        assert_eq!([level(79, 100), level(80, 100), level(99, 100), level(100, 100)], ["calm", "high", "high", "full"]);
        assert_eq!(level(u64::MAX - 1, u64::MAX), "high");
    }
}
