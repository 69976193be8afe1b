//! All families of events. An event type that is in none of them changes nothing here
//! (`tests/rules/events.rs`).

use super::hint::{Family, Hint};
use super::{checkout, customer, invoice, payment, subscription};
use crate::stripe::objects::Event;

const FAMILIES: &[Family] =
    &[checkout::FAMILY, customer::FAMILY, invoice::FAMILY, payment::FAMILY, subscription::FAMILY];

/// Finds the object that `event` is about; `None` when the event changes nothing here.
pub fn hint(event: &Event) -> Option<Hint> {
    let family = FAMILIES.iter().find(|family| family.kinds.contains(&event.kind.as_str()))?;
    (family.about)(event)
}

/// Returns every handled event type, in alphabetical order, for the webhook endpoint.
pub fn handled() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = FAMILIES.iter().flat_map(|family| family.kinds).copied().collect();
    kinds.sort_unstable();
    kinds
}
