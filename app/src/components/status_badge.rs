//! A subscription's status in words. The tone never says what the word does not.

use billing::Status;
use leptos::prelude::*;

use super::Tone;

/// The status as people say it, and its tone; what is over has none.
const fn in_words(status: &Status) -> (&'static str, Option<Tone>) {
    match status {
        Status::Trialing => ("In trial", Some(Tone::Info)),
        Status::Active => ("Active", Some(Tone::Good)),
        Status::PastDue => ("Payment failed", Some(Tone::Warning)),
        Status::Unpaid => ("Unpaid", Some(Tone::Danger)),
        Status::Paused => ("Paused", Some(Tone::Warning)),
        Status::Incomplete => ("First payment open", Some(Tone::Warning)),
        Status::IncompleteExpired => ("Never started", None),
        Status::Canceled => ("Ended", None),
        Status::Unknown(_) => ("Being checked", Some(Tone::Warning)),
    }
}

/// The badge.
#[component]
pub fn StatusBadge(status: Status) -> impl IntoView {
    let (word, tone) = in_words(&status);
    let class = tone.map_or_else(|| "badge".to_owned(), |tone| format!("badge badge-{}", tone.as_str()));
    view! { <span class=class>{word}</span> }
}
