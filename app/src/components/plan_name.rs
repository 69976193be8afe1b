//! A subscription's plan, by the name people know.

use billing::{Catalog, Subscription};

/// Returns the name of the plan that a subscription stands for.
pub fn plan_name(catalog: &Catalog, subscription: &Subscription) -> String {
    let (tier, _) = subscription.tier(catalog);
    let plan = tier.and_then(|tier| catalog.plan(tier));
    plan.map_or_else(|| "Your plan".to_owned(), |plan| plan.name.clone())
}
