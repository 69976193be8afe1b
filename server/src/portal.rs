//! The way to Stripe's customer portal, where people change cards, pay and cancel.

use crate::auth::SignedIn;
use crate::checkout::{CheckoutError, live_customer};
use crate::stripe::portal::PortalFlow;
use crate::tollgate::Tollgate;

/// The address of a portal session for whoever is signed in; it leads back to `/billing`.
///
/// # Errors
/// Stripe or the database failed.
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn open(tollgate: &Tollgate, who: &SignedIn, flow: PortalFlow) -> Result<String, CheckoutError> {
    let back = format!("{}billing", tollgate.config().app_url);
    let customer = live_customer(tollgate, who).await?;
    Ok(tollgate.gateway().portal(&customer, flow, &back).await?)
}
