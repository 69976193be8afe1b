//! Invoices that were finalized, edited, paid, failed, voided, marked uncollectible or credited. An invoice
//! belongs to its subscription, so that events about both that arrive together cause one request to Stripe.

use super::hint::{Family, Hint, own_object};
use crate::inbox::object::Object;
use crate::stripe::objects::{self, Event};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.paid",
        "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.updated",
        "invoice.voided",
        "invoice_payment.paid",
    ],
    about: |event: &Event| {
        // Credit notes and invoice payments refer to their invoice.
        if !event.kind.starts_with("invoice.") {
            let id = objects::id_of(&event.object, "/invoice")?;
            return Object::of_id(&id).map(Hint::to);
        }
        let invoice = own_object(event)?;
        Some(match objects::invoice_subscription(&event.object) {
            Some(subscription) => Hint { subject: subscription.to_string(), ..invoice },
            None => invoice,
        })
    },
};
