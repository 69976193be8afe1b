//! Badges for statuses. The color repeats what the text says.

use billing::ledger::{InvoiceState, InvoiceStatus};
use billing::{Money, Status};
use engine::overview::BilledInvoice;
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

/// An invoice's state, and the parts of its total that were disputed, refunded or credited, or are due.
#[component]
pub fn InvoiceBadge(billed: BilledInvoice) -> impl IntoView {
    let BilledInvoice { invoice, standing } = billed;
    let (text, tone) = match (standing.state, &invoice.status) {
        (InvoiceState::Disputed, _) => ("Disputed", Some(Tone::Warning)),
        (InvoiceState::Refunded, _) => ("Refunded", None),
        (InvoiceState::PartlyRefunded, _) => ("Partly refunded", None),
        (InvoiceState::Credited, _) => ("Credited", None),
        (InvoiceState::Pending, _) => ("Pending", Some(Tone::Info)),
        (InvoiceState::AsStatus, InvoiceStatus::Paid) => ("Paid", Some(Tone::Good)),
        (InvoiceState::AsStatus, InvoiceStatus::Open) => ("Due", Some(Tone::Warning)),
        (InvoiceState::AsStatus, InvoiceStatus::Uncollectible) => ("Uncollectible", Some(Tone::Danger)),
        (InvoiceState::AsStatus, InvoiceStatus::Draft) => ("Draft", None),
        (InvoiceState::AsStatus, InvoiceStatus::Void) => ("Void", None),
        (InvoiceState::AsStatus, InvoiceStatus::Unknown(status)) => (status.as_str(), Some(Tone::Warning)),
    };
    let total = invoice.total.minor;
    let is_part = |amount: &Money| amount.minor > 0 && amount.minor != total;
    let sums = [
        is_part(&standing.disputed).then(|| format!("{} disputed", standing.disputed)),
        is_part(&standing.refunded).then(|| format!("{} refunded", standing.refunded)),
        is_part(&standing.credited).then(|| format!("{} credited", standing.credited)),
        is_part(&standing.due).then(|| format!("{} due", standing.due)),
    ];
    let sums: Vec<String> = sums.into_iter().flatten().collect();
    view! {
        {badge(text.to_owned(), tone)}
        {(!sums.is_empty()).then(|| view! { <p class="quiet">{sums.join(", ")}</p> })}
    }
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
