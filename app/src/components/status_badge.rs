//! A subscription's status in words. The tone never says what the word does not.

use billing::Status;
use leptos::prelude::*;

use super::Tone;

/// The status as people say it, and how it looks.
pub const fn in_words(status: &Status) -> (&'static str, Tone) {
    match status {
        Status::Trialing => ("In trial", Tone::Info),
        Status::Active => ("Active", Tone::Good),
        Status::PastDue => ("Payment failed", Tone::Warning),
        Status::Unpaid => ("Unpaid", Tone::Danger),
        Status::Paused => ("Paused", Tone::Warning),
        Status::Incomplete => ("First payment open", Tone::Warning),
        Status::IncompleteExpired => ("Never started", Tone::Danger),
        Status::Canceled => ("Ended", Tone::Danger),
        Status::Unknown(_) => ("Being checked", Tone::Warning),
    }
}

/// The badge.
#[component]
pub fn StatusBadge(status: Status) -> impl IntoView {
    let (word, tone) = in_words(&status);
    view! { <span class=format!("badge badge-{}", tone.as_str())>{word}</span> }
}
