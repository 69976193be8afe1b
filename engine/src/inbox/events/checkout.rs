//! Checkout Sessions that were completed or expired, or whose delayed payment succeeded or failed.

use super::hint::{Family, own_object};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "checkout.session.expired",
    ],
    about: own_object,
};
