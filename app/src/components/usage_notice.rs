//! Banners for meters that have reached 80 or 100 percent of their limit.

use billing::Timestamp;
use billing::money::grouped;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::banner::{Banner, Tone};
use super::moment::Day;
use crate::api::{DismissUsageNotice, MeterUsage, OveragePolicy, UsageNotice};

/// A banner for each notice; `here` is the page to return to.
#[component]
pub fn UsageNotices(notices: Vec<UsageNotice>, here: &'static str) -> impl IntoView {
    notices.into_iter().map(|notice| view! { <NoticeBanner notice here/> }).collect_view()
}

#[component]
fn NoticeBanner(notice: UsageNotice, here: &'static str) -> impl IntoView {
    let UsageNotice { percent, meter } = notice;
    let (limit, label) = (grouped(meter.limit.unwrap_or_default()), meter.label.clone());
    let is_used_up = percent >= 100;
    let (tone, title) = if is_used_up {
        (Tone::Warning, format!("You've used all of your {limit} {label}."))
    } else {
        (Tone::Info, format!("You've used {} of {limit} {label}.", grouped(meter.used)))
    };
    let next = further_usage(&meter, is_used_up).map(|message| message + " ");
    view! {
        <Banner tone title>
            <p>{next} "Resets " <Day at=Timestamp(meter.resets_at)/> "."</p>
            <form class="actions" method="post" action=DismissUsageNotice::url()>
                <input type="hidden" name="meter" value=meter.key/>
                <input type="hidden" name="percent" value=percent.to_string()/>
                <input type="hidden" name="next" value=here/>
                <a class="button" href="/pricing">"Compare plans"</a>
                <button class="button button-quiet" type="submit">"Dismiss"<span class="visually-hidden">{format!(" the notice about {label}")}</span></button>
            </form>
        </Banner>
    }
}

/// Returns a sentence about further usage, if its handling is about to change.
fn further_usage(meter: &MeterUsage, is_used_up: bool) -> Option<String> {
    if meter.credits > 0 {
        return Some(format!("{} credits will be used next.", grouped(meter.credits.unsigned_abs())));
    }
    is_used_up.then(|| match &meter.overage_policy {
        OveragePolicy::Denied => format!("Further {} are rejected.", meter.label),
        OveragePolicy::Billed { max, .. } if meter.overage >= *max => {
            format!(
                "You've also used the {} that are billed beyond it. Further {} are rejected.",
                grouped(*max),
                meter.label
            )
        }
        OveragePolicy::Billed { unit, max } => {
            let left = grouped(max - meter.overage);
            let price = unit.as_ref().map_or_else(String::new, |unit| format!(" at {unit} each"));
            format!("Up to {left} further {} are billed{price}.", meter.label)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(credits: i64, overage_policy: OveragePolicy) -> MeterUsage {
        MeterUsage {
            key: "apiCallsPerMonth".to_owned(),
            label: "API calls".to_owned(),
            used: 100,
            reserved: 0,
            limit: Some(100),
            from_credits: 0,
            credits,
            overage: 0,
            overage_policy,
            resets_at: 0,
        }
    }

    #[test]
    fn at_the_limit_the_notice_says_what_happens_to_further_usage() {
        let text = |policy| further_usage(&meter(0, policy), true).unwrap();
        assert_eq!(text(OveragePolicy::Denied), "Further API calls are rejected.");
        let policy = |unit: Option<&str>| OveragePolicy::Billed { unit: unit.map(str::to_owned), max: 5_000 };
        assert_eq!(text(policy(None)), "Up to 5,000 further API calls are billed.");
        assert_eq!(text(policy(Some("$0.01"))), "Up to 5,000 further API calls are billed at $0.01 each.");
        let below_the_ceiling = MeterUsage { overage: 4_000, ..meter(0, policy(None)) };
        assert_eq!(further_usage(&below_the_ceiling, true).unwrap(), "Up to 1,000 further API calls are billed.");
        let at_the_ceiling = MeterUsage { overage: 5_000, ..meter(0, policy(None)) };
        assert_eq!(
            further_usage(&at_the_ceiling, true).unwrap(),
            "You've also used the 5,000 that are billed beyond it. Further API calls are rejected."
        );
    }

    #[test]
    fn credits_are_used_first_and_before_the_limit_nothing_changes() {
        let text = further_usage(&meter(1_500, OveragePolicy::Denied), true);
        assert_eq!(text.as_deref(), Some("1,500 credits will be used next."));
        assert_eq!(further_usage(&meter(0, OveragePolicy::Denied), false), None);
    }
}
