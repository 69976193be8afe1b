//! Stripe's customer portal, where customers change payment methods, pay and cancel.

use std::collections::BTreeSet;

use billing::AccountId;

use crate::checkout::{CheckoutError, live_customer};
use crate::core::Core;
use crate::idempotency_key::Key;
use crate::inbox::object::Object;
use crate::store::{customers, invoices};
use crate::stripe::portal::CONFIGURATION;
pub use crate::stripe::portal::PortalFlow;
use crate::sync::{self, SyncContext, SyncError};

/// Creates a portal session for the account and returns its address. The portal links back to
/// [`crate::Urls::portal_return`].
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn open(core: &Core, account: &AccountId, flow: PortalFlow) -> Result<String, CheckoutError> {
    let customer = live_customer(core, account).await?;
    let configuration = match core.gateway().portal_configuration().await? {
        Some(known) => known,
        None => create_configuration(core).await?,
    };
    Ok(core.gateway().portal(&customer, flow, &configuration, core.urls().portal_return.as_str()).await?)
}

/// Creates the portal's configuration, once for all accounts and nodes.
async fn create_configuration(core: &Core) -> Result<String, CheckoutError> {
    let key = Key::renewed_if_failing(core, format!("portal:{CONFIGURATION}")).await?;
    let created = core.gateway().create_portal_configuration(&key.to_string()).await;
    key.settle(core, created).await
}

/// Fetches what may have been changed in the portal from Stripe: the customer, its running subscriptions, and
/// the unpaid invoices. For the page that the portal returns to, which then does not depend on a webhook.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn refresh(core: &Core, account: &AccountId) -> Result<(), SyncError> {
    let Some(customer) = customers::of_account(core.db(), account).await? else { return Ok(()) };
    let mut objects = BTreeSet::from([Object::Customer(customer)]);
    let subscriptions = core.cache().subscriptions(core.db(), account).await?;
    for running in subscriptions.iter().filter(|each| !each.status.has_ended()) {
        objects.insert(Object::Subscription(running.id.clone()));
        let owed = invoices::oldest_open(core.db(), account, &running.id).await?;
        objects.extend(owed.map(|invoice| Object::Invoice(invoice.id)));
    }
    let context = SyncContext { collects: true, ..SyncContext::with_reason("portal") };
    sync::objects(core, &objects, context).await.map(drop)
}
