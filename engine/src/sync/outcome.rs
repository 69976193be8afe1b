//! The context and the outcome of a sync.

use billing::{AccountId, CustomerId, EventId};

use crate::store::StoreError;
use crate::store::inbox::Lease;
use crate::stripe::GatewayError;
use crate::stripe_account::{OtherAccount, StripeAccountError};

/// The reason a sync failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Stripe gave no usable response.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object that is stored does not exist in Stripe.
    #[error(
        "{id} is stored, but Stripe does not have it: does STRIPE_SECRET_KEY belong to the right account and mode?"
    )]
    Disappeared {
        /// The id of the missing object.
        id: String,
        /// Stripe's response.
        error: GatewayError,
    },
    /// Stripe does not have these objects, perhaps for a moment.
    #[error("Stripe does not have {0}")]
    Missing(String),
    /// Usage that must be on the final invoice of its subscription has not been reported to Stripe yet.
    #[error("usage could not be reported yet: {0}")]
    Unreported(#[source] GatewayError),
    /// The API key belongs to another Stripe account than the stored objects.
    #[error(transparent)]
    OtherAccount(#[from] OtherAccount),
    /// Other processes wrote the same objects in every round.
    #[error("other processes kept writing {0}")]
    Contended(String),
    /// It took so long that another worker holds the events now.
    #[error("the lease on {0} was lost to another claim")]
    LeaseLost(EventId),
}

impl From<StripeAccountError> for SyncError {
    fn from(error: StripeAccountError) -> Self {
        match error {
            StripeAccountError::Other(error) => Self::OtherAccount(error),
            StripeAccountError::Stripe(error) => Self::Stripe(error),
            StripeAccountError::Store(error) => Self::Store(error),
        }
    }
}

/// The outcome for the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Written for this account.
    Written(AccountId),
    /// No account owns this customer, so the objects cannot be stored yet.
    Unmatched(CustomerId),
    /// Stripe has no such object and none is stored, or it belongs to no customer.
    Ignored,
}

/// The events to settle with the objects, and the reason for the sync.
#[derive(Clone, Copy, Debug)]
pub struct SyncContext<'a> {
    /// Events that are settled in the same transaction.
    pub events: &'a [Lease],
    /// The events that do not contain their customer.
    pub without_customer: &'a [EventId],
    /// Whether objects that Stripe does not have are an error, since they may appear in a moment.
    pub retries_missing: bool,
    /// Whether a payment method may be new and has to pay what is owed.
    pub collects: bool,
    /// The reason, if there are no events.
    pub reason: &'static str,
}

impl<'a> SyncContext<'a> {
    /// Creates the context of a sync without events, such as for a page or reconciliation.
    pub const fn with_reason(reason: &'static str) -> Self {
        Self { events: &[], without_customer: &[], retries_missing: false, collects: false, reason }
    }

    /// Creates the context of a sync for these events, of which `without_customer` do not contain their
    /// customer.
    pub const fn events(events: &'a [Lease], without_customer: &'a [EventId]) -> Self {
        Self { events, without_customer, retries_missing: false, collects: true, reason: "events" }
    }

    /// Returns the recorded cause: event ids, or the reason.
    pub(super) fn cause(&self) -> String {
        if self.events.is_empty() {
            return self.reason.to_owned();
        }
        let events: Vec<&str> = self.events.iter().map(|lease| lease.event.as_str()).collect();
        events.join(",")
    }
}
