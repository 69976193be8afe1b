//! Whether usage beyond a limit is billed now.
//!
//! It is billed through a metered item of the subscription that the plan comes from, on that subscription's
//! next invoice. So it is denied while no such invoice will be paid:
//!
//! - in a trial, whose usage Stripe never invoices;
//! - while the subscription is past due, when customers would only owe more;
//! - while collection is paused and invoices are voided or written off.
//!
//! Uninvoiced usage is capped ([`Catalog::overage`]). `tests/overage.rs` proves each rule.

use crate::catalog::Catalog;
use crate::entitlement::Entitlement;
use crate::keys::Meter;
use crate::limit::Overage;
use crate::subscription::{PauseBehavior, Status, Subscription};

/// Returns what happens to usage of `meter` beyond the limit of `entitlement`, which `subscriptions` gave.
pub fn overage(subscriptions: &[Subscription], catalog: &Catalog, entitlement: &Entitlement, meter: Meter) -> Overage {
    let deciding = entitlement.subscription();
    match deciding.and_then(|id| subscriptions.iter().find(|each| each.id == *id)) {
        Some(subscription) if has_metered_item(subscription, catalog, meter) && is_invoiced(subscription) => {
            catalog.overage(meter, entitlement.limit(meter))
        }
        _ => Overage::Deny,
    }
}

fn has_metered_item(subscription: &Subscription, catalog: &Catalog, meter: Meter) -> bool {
    subscription.items.iter().any(|item| catalog.bills(meter, item.lookup_key.as_deref()))
}

/// Returns whether usage now will be on an invoice that is to be paid.
fn is_invoiced(subscription: &Subscription) -> bool {
    let is_collected = match subscription.pause.as_ref().map(|pause| &pause.behavior) {
        None | Some(PauseBehavior::KeepAsDraft) => true,
        Some(PauseBehavior::MarkUncollectible | PauseBehavior::Void | PauseBehavior::Unknown(_)) => false,
    };
    subscription.status == Status::Active && is_collected
}
