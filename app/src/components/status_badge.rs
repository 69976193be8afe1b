//! Statuses in words. The tone never says what the word does not.

use billing::Status;
use billing::ledger::InvoiceStatus;
use engine::store::inbox::EventState;
use leptos::prelude::*;

use super::banner::Tone;

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

fn badge(word: String, tone: Option<Tone>) -> impl IntoView {
    let class = tone.map_or_else(|| "badge".to_owned(), |tone| format!("badge badge-{}", tone.as_str()));
    view! { <span class=class>{word}</span> }
}

/// A subscription's status.
#[component]
pub fn StatusBadge(status: Status) -> impl IntoView {
    let (word, tone) = in_words(&status);
    badge(word.to_owned(), tone)
}

/// An invoice's status.
#[component]
pub fn InvoiceBadge(status: InvoiceStatus) -> impl IntoView {
    let (word, tone) = match &status {
        InvoiceStatus::Paid => ("Paid", Some(Tone::Good)),
        InvoiceStatus::Open => ("To be paid", Some(Tone::Warning)),
        InvoiceStatus::Uncollectible => ("Not collected", Some(Tone::Danger)),
        InvoiceStatus::Draft => ("Draft", None),
        InvoiceStatus::Void => ("Void", None),
        InvoiceStatus::Unknown(word) => (word.as_str(), Some(Tone::Warning)),
    };
    badge(word.to_owned(), tone)
}

/// What became of an event.
#[component]
pub fn EventBadge(state: EventState) -> impl IntoView {
    let tone = match state {
        EventState::Done => Some(Tone::Good),
        EventState::Pending => Some(Tone::Info),
        EventState::Unmatched => Some(Tone::Warning),
        EventState::Parked => Some(Tone::Danger),
        EventState::Ignored => None,
    };
    badge(state.as_str().to_owned(), tone)
}
