//! The fields of a subscription that only we keep.

use billing::{Catalog, PaidPlan, Subscription};

use crate::stripe::objects::{PaidLine, SubscriptionObject};

/// Completes a fetched subscription with the start of its past-due time and the last known tier.
///
/// It has been past due since its oldest unpaid invoice in Stripe. So the time does not depend on the events
/// that arrived, and retries do not move it.
pub(super) fn remembered(
    fetched: &SubscriptionObject,
    before: Option<&Subscription>,
    catalog: &Catalog,
) -> Subscription {
    let mut subscription = fetched.subscription.clone();
    subscription.past_due_since = fetched.open_invoice_since.filter(|_| subscription.is_unpaid());
    subscription.paid = paid_plan(&fetched.paid, catalog);
    subscription.last_known_tier = before.and_then(|before| before.last_known_tier.clone());
    if let (Some(tier), true) = subscription.tier(catalog) {
        subscription.last_known_tier = Some(tier.clone());
    }
    subscription
}

/// The best plan on the last paid invoice.
fn paid_plan(lines: &[PaidLine], catalog: &Catalog) -> Option<PaidPlan> {
    let plans = lines.iter().filter_map(|line| {
        let tier = catalog.tier_of_price(&line.price, line.lookup_key.as_deref())?.clone();
        Some(PaidPlan { tier, until: line.until })
    });
    plans.max_by_key(|plan| (catalog.rank(&plan.tier), plan.until))
}

/// Whether the stored subscription matches Stripe.
pub fn is_current(stored: Option<&Subscription>, fetched: &SubscriptionObject, catalog: &Catalog) -> bool {
    stored == Some(&remembered(fetched, stored, catalog))
}
