//! The fields of a subscription that only we keep.

use billing::{Catalog, PaidPlan, Subscription, Tier};

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
    subscription.paid = fetched.paid.iter().find_map(|invoice| paid_plan(invoice, before, catalog));
    subscription.reversals = before.map(|before| before.reversals.clone()).unwrap_or_default();
    subscription.last_known_tier = before.and_then(|before| before.last_known_tier.clone());
    if let (Some(tier), true) = subscription.tier(catalog) {
        subscription.last_known_tier = Some(tier.clone());
    }
    subscription
}

/// Returns the best plan on a paid invoice; `None` if it is for something else, such as usage.
fn paid_plan(lines: &[PaidLine], before: Option<&Subscription>, catalog: &Catalog) -> Option<PaidPlan> {
    let plans = lines.iter().filter(|line| !catalog.is_metered(line.lookup_key.as_deref())).filter_map(|line| {
        let known = catalog.tier_of_price(&line.price, line.lookup_key.as_deref());
        let tier = known.or_else(|| remembered_tier(line, before?, catalog))?.clone();
        Some(PaidPlan { tier, until: line.until })
    });
    plans.max_by_key(|plan| (catalog.rank(&plan.tier), plan.until))
}

/// Returns the tier of a price that the catalog no longer knows, from the stored subscription: before the
/// unpaid upgrade it had that price, and afterwards the plan that was paid last.
fn remembered_tier<'a>(line: &PaidLine, before: &'a Subscription, catalog: &'a Catalog) -> Option<&'a Tier> {
    let paid = before.paid.as_ref().filter(|paid| paid.until == line.until).map(|paid| &paid.tier);
    paid.or_else(|| before.tier(catalog).0.filter(|_| before.items.iter().any(|item| item.price == line.price)))
}

/// Returns whether the stored subscription matches Stripe.
pub fn is_current(stored: Option<&Subscription>, fetched: &SubscriptionObject, catalog: &Catalog) -> bool {
    stored == Some(&remembered(fetched, stored, catalog))
}
