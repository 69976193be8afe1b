//! Subscriptions that began, changed, paused, resumed or ended, or whose trial is about to end.

use super::hint::{Family, own_object};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
    ],
    about: own_object,
};
