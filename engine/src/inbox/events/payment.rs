//! Payments that succeeded, failed, or were refunded or disputed. All of these events are about the
//! PaymentIntent; a charge without one, as older integrations create, is not ours.

use super::hint::{Family, Hint};
use crate::inbox::object::Object;
use crate::stripe::objects::{self, Event};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.refund.updated",
        "charge.refunded",
        "payment_intent.canceled",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "refund.created",
        "refund.failed",
        "refund.updated",
    ],
    about: |event: &Event| {
        // Charges, refunds and disputes refer to their PaymentIntent.
        let id = match event.kind.starts_with("payment_intent.") {
            true => objects::id_of(&event.object, "/id"),
            false => objects::id_of(&event.object, "/payment_intent"),
        };
        id.and_then(|id| Object::of_id(&id)).map(Hint::to)
    },
};
