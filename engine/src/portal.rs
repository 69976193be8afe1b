//! Stripe's customer portal, where customers change payment methods, pay and cancel.

use billing::AccountId;

use crate::checkout::{CheckoutError, live_customer};
use crate::core::Core;
pub use crate::stripe::portal::PortalFlow;

/// Creates a portal session for the account and returns its address. The portal links back to
/// [`crate::Urls::portal_return`].
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn open(core: &Core, account: &AccountId, flow: PortalFlow) -> Result<String, CheckoutError> {
    let customer = live_customer(core, account).await?;
    Ok(core.gateway().portal(&customer, flow, core.urls().portal_return.as_str()).await?)
}
