//! Events of customers that no account owns. A customer is linked if the account that it names now
//! exists.

use std::collections::BTreeSet;

use billing::CustomerId;

use super::comparison::{Comparison, Mode};
use super::drift::{Drift, Finding};
use super::unlinked;
use crate::inbox::object::Object;
use crate::store::inbox;
use crate::sync::{self, SyncContext, SyncError, SyncOutcome};

pub(super) async fn compare(comparison: &mut Comparison<'_>) -> Result<(), SyncError> {
    for unmatched in inbox::unmatched_customers(comparison.core.db()).await? {
        let linked = link(comparison, &unmatched.customer).await;
        if let Some(is_fixed) = comparison.skip_if_single(unmatched.customer.as_str(), linked)? {
            let drift = Drift::Unmatched { customer: unmatched.customer, events: unmatched.events };
            comparison.findings.push(Finding { drift, is_fixed });
        }
    }
    Ok(())
}

async fn link(comparison: &Comparison<'_>, customer: &CustomerId) -> Result<bool, SyncError> {
    if comparison.mode == Mode::DryRun || unlinked::is_known(comparison, customer).await? {
        return Ok(false);
    }
    let wanted = BTreeSet::from([Object::Customer(customer.clone())]);
    let outcome = sync::objects(comparison.core, &wanted, SyncContext::with_reason("reconcile")).await?;
    let is_linked = matches!(outcome, SyncOutcome::Written(_));
    if !is_linked {
        unlinked::set_checked(comparison, customer).await?;
    }
    Ok(is_linked)
}
