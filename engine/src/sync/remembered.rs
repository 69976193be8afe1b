//! The fields of a subscription that only we keep.

use billing::{Catalog, Status, Subscription};

use crate::stripe::objects::SubscriptionObject;

/// Completes a fetched subscription with the start of its past-due time and the last known tier.
///
/// It is past due since its oldest unpaid invoice at Stripe. So the time does not depend on the events
/// that arrived, and retries do not move it.
pub(super) fn remembered(
    fetched: &SubscriptionObject,
    before: Option<&Subscription>,
    catalog: &Catalog,
) -> Subscription {
    let mut subscription = fetched.subscription.clone();
    subscription.past_due_since = fetched.open_invoice_since.filter(|_| subscription.status == Status::PastDue);
    subscription.last_known_tier = before.and_then(|before| before.last_known_tier.clone());
    if let (Some(tier), true) = subscription.tier(catalog) {
        subscription.last_known_tier = Some(tier.clone());
    }
    subscription
}

/// Whether the stored subscription matches Stripe.
pub fn is_current(stored: Option<&Subscription>, fetched: &SubscriptionObject, catalog: &Catalog) -> bool {
    stored == Some(&remembered(fetched, stored, catalog))
}
