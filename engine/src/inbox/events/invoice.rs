//! Invoices that were finalized, paid, failed, voided or marked uncollectible. An invoice belongs to its
//! subscription, so that events about both that arrive together cause one request to Stripe.

use super::hint::{Family, Hint, own_object};
use crate::stripe::objects::{self, Event};

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
        let invoice = own_object(event)?;
        Some(match objects::invoice_subscription(&event.object) {
            Some(subscription) => Hint { subject: subscription.to_string(), ..invoice },
            None => invoice,
        })
    },
};
