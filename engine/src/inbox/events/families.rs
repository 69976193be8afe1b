//! All families of events. A type that is in none of them changes nothing here
//! (`tests/rules/events.rs`).

use super::hint::{Family, Hint};
use super::{checkout, customer, invoice, payment, subscription};
use crate::stripe::objects::Event;

const FAMILIES: &[Family] =
    &[checkout::FAMILY, customer::FAMILY, invoice::FAMILY, payment::FAMILY, subscription::FAMILY];

/// What `event` is about; `None` when it changes nothing here.
pub fn hint(event: &Event) -> Option<Hint> {
    let family = FAMILIES.iter().find(|family| family.kinds.contains(&event.kind.as_str()))?;
    (family.about)(event)
}

/// Every type of event that is handled, in alphabetical order: what Stripe is asked to send.
pub fn handled() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = FAMILIES.iter().flat_map(|family| family.kinds).copied().collect();
    kinds.sort_unstable();
    kinds
}
