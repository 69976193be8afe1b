//! The fields of a subscription that only we keep.

use billing::{Catalog, Status, Subscription};

use crate::stripe::objects::SubscriptionObject;

/// The fetched subscription, with since when it is past due and what its prices last meant.
///
/// A delinquency begins with the oldest invoice that is owed, as Stripe says it now. So it does not
/// depend on which events arrived, and retries do not move it.
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

/// Whether a subscription is stored as Stripe describes it.
pub fn is_current(stored: Option<&Subscription>, fetched: &SubscriptionObject, catalog: &Catalog) -> bool {
    stored == Some(&remembered(fetched, stored, catalog))
}
