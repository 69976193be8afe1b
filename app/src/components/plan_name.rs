//! The display name of a subscription's plan.

use billing::{Catalog, Subscription};

/// Returns the display name of a subscription's plan.
pub fn plan_name(catalog: &Catalog, subscription: &Subscription) -> String {
    let (tier, _) = subscription.tier(catalog);
    let plan = tier.and_then(|tier| catalog.plan(tier));
    plan.map_or_else(|| "Your plan".to_owned(), |plan| plan.name.clone())
}
