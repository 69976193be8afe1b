//! That a meter has come to 80 or 100 percent, and what can be done about it.

use billing::money::grouped;
use leptos::prelude::*;
use server::usage::{Notice, Threshold};

use super::{Banner, Moment, Tone};

/// A banner for each meter that has come to a threshold; `here` is the page to come back to.
#[component]
pub fn UsageNotices(notices: Vec<Notice>, here: &'static str) -> impl IntoView {
    notices.into_iter().map(|notice| view! { <UsageNotice notice here/> }).collect_view()
}

#[component]
fn UsageNotice(notice: Notice, here: &'static str) -> impl IntoView {
    let Notice { label, threshold, reading, .. } = notice;
    let used = format!("{} of {} {label}", grouped(reading.used), reading.limit);
    let (tone, title) = match threshold {
        Threshold::Near => (Tone::Info, format!("You have used {used}.")),
        Threshold::Reached => (Tone::Warning, format!("You have used all of your {} {label}.", reading.limit)),
    };
    let credits = u64::try_from(reading.credits).ok().filter(|credits| *credits > 0);
    let after = match (threshold, credits) {
        (_, Some(credits)) => format!("{} credits are left for what goes beyond. ", grouped(credits)),
        (Threshold::Reached, None) => "What goes beyond is refused. ".to_owned(),
        (Threshold::Near, None) => String::new(),
    };
    let ends = reading.window.end;
    view! {
        <Banner tone title>
            <p>{after} "The count begins anew on " <Moment at=ends/> "."</p>
            <form class="actions" method="post" action="/dashboard/notices/dismiss">
                <input type="hidden" name="meter" value=reading.meter.as_str()/>
                <input type="hidden" name="percent" value=threshold.percent().to_string()/>
                <input type="hidden" name="next" value=here/>
                <a class="button" href="/pricing">"Compare plans"</a>
                <button class="button button-quiet" type="submit">"Dismiss"<span class="visually-hidden">{format!(" the notice about {label}")}</span></button>
            </form>
        </Banner>
    }
}
