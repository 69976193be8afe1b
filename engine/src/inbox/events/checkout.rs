//! A Checkout Session was completed, ran out, or its money came or did not come later.

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
