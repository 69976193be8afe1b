//! The object to fetch when an event arrives.

use crate::inbox::object::Object;
use crate::stripe::objects::{self, Event};

/// The object an event is about. Nothing else is taken from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The id of the object that the event belongs to: events of one subject are applied together.
    pub subject: String,
    /// The object to fetch.
    pub object: Object,
}

impl Hint {
    /// Creates a hint at this object, which is its own subject.
    pub(super) fn to(object: Object) -> Self {
        Self { subject: object.id().to_owned(), object }
    }
}

/// A family of event types, about one kind of object.
pub(super) struct Family {
    /// Stripe's names for the event types.
    pub(super) kinds: &'static [&'static str],
    /// Finds the object that an event is about; `None` for one that the engine does not follow.
    pub(super) about: fn(&Event) -> Option<Hint>,
}

/// Returns the event's own object, if the engine follows its kind.
pub(super) fn own_object(event: &Event) -> Option<Hint> {
    objects::id_of(&event.object, "/id").and_then(|id| Object::of_id(&id)).map(Hint::to)
}
