//! What an event makes us look at. An event is only a hint: nothing is taken from
//! it but the names of objects to ask Stripe about.
//!
//! One file per family of events: which types belong to it, and what they are about. A type
//! that is in none of them changes nothing here (`tests/rules/events.rs`).

mod checkout;
mod customer;
mod invoice;
mod payment;
mod subscription;

use crate::stripe::shape::{self, Event};
use crate::sync::Object;

/// Types of events that are about the same kind of object.
struct Family {
    /// Stripe's names of them: what Stripe is asked to send.
    kinds: &'static [&'static str],
    /// What one of them is about; `None` for one that is about nothing we follow.
    about: fn(&Event) -> Option<Hint>,
}

const FAMILIES: &[Family] =
    &[checkout::FAMILY, customer::FAMILY, invoice::FAMILY, payment::FAMILY, subscription::FAMILY];

/// What to ask Stripe about because of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What the event belongs to: events of one subject are applied together.
    pub subject: String,
    /// What to ask about.
    pub object: Object,
}

impl Hint {
    /// About this object, which is its own subject.
    fn to(object: Object) -> Self {
        Self { subject: object.id().to_owned(), object }
    }

    /// What `event` is about; `None` when it changes nothing here.
    pub fn of(event: &Event) -> Option<Self> {
        let family = FAMILIES.iter().find(|family| family.kinds.contains(&event.kind.as_str()))?;
        (family.about)(event)
    }
}

/// Every type of event that something is made of, in alphabetical order: what Stripe is asked to send.
pub fn handled() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = FAMILIES.iter().flat_map(|family| family.kinds).copied().collect();
    kinds.sort_unstable();
    kinds
}

/// The object of `event` itself, if it is of a kind that we follow.
fn itself(event: &Event) -> Option<Hint> {
    shape::id_of(&event.object, "/id").and_then(|id| Object::of_id(&id)).map(Hint::to)
}
