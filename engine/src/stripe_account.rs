//! Checks that the API key belongs to the account and mode of the stored objects.
//!
//! With another account's key every stored object is missing in Stripe, and with a test key every payment is
//! play money. So the account is stored with the first object and compared once in every process, before it
//! applies events, sells anything, sends overage or reconciles. Until that succeeds, events wait
//! (`tests/http/stripe_account.rs`).

use std::fmt;
use std::time::Duration;

use crate::core::Core;
use crate::settings::StripeMode;
use crate::store::StoreError;
use crate::store::stripe_account::{self as rows, StripeAccount};
use crate::stripe::GatewayError;

/// How long a start waits for Stripe to identify the account.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The API key belongs to another account or mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "STRIPE_SECRET_KEY belongs to {found}, but the database belongs to {stored}: use a key for that account and mode, or another database"
)]
pub struct OtherAccount {
    /// The account of the stored objects.
    pub stored: StripeAccount,
    /// The account of the key.
    pub found: StripeAccount,
}

impl fmt::Display for StripeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} mode", self.id, if self.is_live { "live" } else { "test" })
    }
}

/// Why the account could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum StripeAccountError {
    /// It is a different one.
    #[error(transparent)]
    Other(#[from] OtherAccount),
    /// Stripe did not identify it.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares the key's account with that of the stored objects, and returns it. If no objects are stored, the
/// key's account is stored as theirs. Stripe is queried only once.
pub async fn verify(core: &Core) -> Result<StripeAccount, StripeAccountError> {
    if let Some(known) = core.stripe_account().get() {
        return Ok(known.clone());
    }
    let is_live = core.stripe_settings().mode() == Some(StripeMode::Live);
    let found = StripeAccount { id: core.gateway().account_id().await?, is_live };
    let mut tx = core.db().begin().await?;
    rows::set(&mut tx, &found, core.now()).await?;
    tx.commit().await?;
    match rows::get(core.db()).await? {
        Some(stored) if stored != found => Err(OtherAccount { stored, found }.into()),
        _ => Ok(core.stripe_account().get_or_init(|| found).clone()),
    }
}

/// Rejects another account's key at startup. If Stripe cannot be reached, a warning is logged: pages work,
/// and the background tasks wait until the account is confirmed.
pub async fn reject_other(core: &Core) -> Result<(), OtherAccount> {
    match tokio::time::timeout(TIMEOUT, verify(core)).await {
        Ok(Ok(account)) => tracing::info!("the Stripe account is {account}"),
        Ok(Err(StripeAccountError::Other(error))) => return Err(error),
        Ok(Err(error)) => tracing::warn!(%error, "the Stripe account could not be compared with the database"),
        Err(_) => tracing::warn!("timed out fetching the Stripe account of the API key"),
    }
    Ok(())
}
