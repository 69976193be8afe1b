//! An invoice was issued, paid, not paid, or given up. It belongs to its subscription: what
//! Stripe sends about both within a second is one look.

use super::{Event, Family, Hint, itself};
use crate::stripe::shape;

pub(super) const FAMILY: Family = Family {
    kinds: &[
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.paid",
        "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.voided",
    ],
    about: |event: &Event| {
        let invoice = itself(event)?;
        Some(match shape::invoice_subscription(&event.object) {
            Some(subscription) => Hint { subject: subscription.to_string(), ..invoice },
            None => invoice,
        })
    },
};
