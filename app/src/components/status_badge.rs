//! Badges for statuses. The color repeats what the text says.

use billing::Status;
use billing::ledger::InvoiceStatus;
use engine::store::inbox::EventState;
use leptos::prelude::*;

use super::banner::Tone;

/// Returns a status's label and tone; no tone once the subscription has ended.
const fn label(status: &Status) -> (&'static str, Option<Tone>) {
    match status {
        Status::Trialing => ("Trial", Some(Tone::Info)),
        Status::Active => ("Active", Some(Tone::Good)),
        Status::PastDue => ("Past due", Some(Tone::Warning)),
        Status::Unpaid => ("Unpaid", Some(Tone::Danger)),
        Status::Paused => ("Paused", Some(Tone::Warning)),
        Status::Incomplete => ("Payment required", Some(Tone::Warning)),
        Status::IncompleteExpired => ("Expired", None),
        Status::Canceled => ("Ended", None),
        Status::Unknown(_) => ("Under review", Some(Tone::Warning)),
    }
}

fn badge(text: String, tone: Option<Tone>) -> impl IntoView {
    let class = tone.map_or_else(|| "badge".to_owned(), |tone| format!("badge badge-{}", tone.as_str()));
    view! { <span class=class>{text}</span> }
}

/// A subscription's status.
#[component]
pub fn StatusBadge(status: Status) -> impl IntoView {
    let (text, tone) = label(&status);
    badge(text.to_owned(), tone)
}

/// An invoice's status.
#[component]
pub fn InvoiceBadge(
    status: InvoiceStatus,
    /// Whether the bank is working on its payment.
    #[prop(optional)]
    is_pending: bool,
) -> impl IntoView {
    let (text, tone) = match &status {
        InvoiceStatus::Open if is_pending => ("Pending", Some(Tone::Info)),
        InvoiceStatus::Paid => ("Paid", Some(Tone::Good)),
        InvoiceStatus::Open => ("Due", Some(Tone::Warning)),
        InvoiceStatus::Uncollectible => ("Uncollectible", Some(Tone::Danger)),
        InvoiceStatus::Draft => ("Draft", None),
        InvoiceStatus::Void => ("Void", None),
        InvoiceStatus::Unknown(status) => (status.as_str(), Some(Tone::Warning)),
    };
    badge(text.to_owned(), tone)
}

/// An event's state.
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
