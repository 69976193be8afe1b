//! Notifying the host of billing changes.
//!
//! A change is stored in the transaction that writes the subscription's revision, so none is lost. It
//! is delivered at least once, in order per account, and retried with backoff until the handler accepts
//! it or an operator skips it. A handler that must act only once stores the change's id with its effects
//! (`tests/store/changes.rs`).

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use billing::{AccountId, Catalog, Subscription, Tier, Timestamp};

use crate::store::billing_changes::StoredChange;

/// A change to an account's subscription.
#[derive(Clone, Debug)]
pub struct BillingChange {
    /// The account whose subscription changed.
    pub account: AccountId,
    /// The change's sequence number within the account, starting at 1 and without gaps.
    pub number: i64,
    /// The subscription before; `None` for a new one.
    pub before: Option<Subscription>,
    /// The subscription as it is after the change.
    pub after: Subscription,
    /// The reason for the request to Stripe: event ids separated by commas, or text such as `reconcile`.
    pub cause: String,
    /// When it was written.
    pub at: Timestamp,
}

impl BillingChange {
    /// Returns the change's id, the same in every delivery.
    pub fn id(&self) -> String {
        format!("{}/{}", self.account, self.number)
    }

    /// Returns the tiers of the subscription's prices before and after, where the catalog knows them.
    pub fn tiers<'a>(&'a self, catalog: &'a Catalog) -> (Option<&'a Tier>, Option<&'a Tier>) {
        let before = self.before.as_ref().and_then(|before| before.tier(catalog).0);
        (before, self.after.tier(catalog).0)
    }
}

impl From<StoredChange> for BillingChange {
    fn from(stored: StoredChange) -> Self {
        let StoredChange { account, number, before, after, cause, created_at, .. } = stored;
        Self { account, number, before, after, cause, at: created_at }
    }
}

/// A handler's reason for not accepting a change.
pub type ChangeError = Box<dyn Error + Send + Sync>;
type Accepted = Pin<Box<dyn Future<Output = Result<(), ChangeError>> + Send>>;

/// The host's handler. Cheap to clone.
#[derive(Clone)]
pub struct ChangeHandler(Arc<dyn Fn(BillingChange) -> Accepted + Send + Sync>);

impl ChangeHandler {
    /// Creates a handler that calls this function.
    pub fn new<F, R>(handler: F) -> Self
    where
        F: Fn(BillingChange) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ChangeError>> + Send + 'static,
    {
        Self(Arc::new(move |change| Box::pin(handler(change))))
    }

    pub(crate) fn call(&self, change: BillingChange) -> Accepted {
        (self.0)(change)
    }
}

impl Default for ChangeHandler {
    /// Accepts every change and does nothing.
    fn default() -> Self {
        Self::new(|_| async { Ok(()) })
    }
}

impl fmt::Debug for ChangeHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeHandler")
    }
}
