//! What synchronising with Stripe takes and returns.

use billing::{AccountId, CustomerId, EventId};

use crate::store::StoreError;
use crate::store::inbox::Lease;
use crate::stripe::GatewayError;

/// Why the database could not be brought up to date with Stripe.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Stripe gave no usable answer.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other processes wrote the same objects every time.
    #[error("other processes kept writing {0}")]
    Contended(String),
    /// It took so long that another worker holds the events by now.
    #[error("{0} was claimed again meanwhile")]
    LeaseLost(EventId),
}

/// What became of the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Written for this account.
    Written(AccountId),
    /// No account owns this customer, so the objects cannot be stored yet.
    Unmatched(CustomerId),
    /// Stripe has no such object and none is stored, or it belongs to no customer.
    Ignored,
}

/// What is committed together with the objects, and why Stripe was asked.
#[derive(Clone, Copy, Debug)]
pub struct SyncContext<'a> {
    /// Events that are settled in the same transaction.
    pub events: &'a [Lease],
    /// Those of them that do not name their customer.
    pub without_customer: &'a [EventId],
    /// Why Stripe was asked, where no event was the reason.
    pub reason: &'static str,
}

impl<'a> SyncContext<'a> {
    /// Because of something other than an event: a page, or reconciliation.
    pub const fn because(reason: &'static str) -> Self {
        Self { events: &[], without_customer: &[], reason }
    }

    /// Because of these events, of which `without_customer` do not name their customer.
    pub const fn events(events: &'a [Lease], without_customer: &'a [EventId]) -> Self {
        Self { events, without_customer, reason: "events" }
    }

    /// The cause for the record: event ids, or the reason.
    pub(super) fn cause(&self) -> String {
        if self.events.is_empty() {
            return self.reason.to_owned();
        }
        let events: Vec<&str> = self.events.iter().map(|lease| lease.event.as_str()).collect();
        events.join(",")
    }
}
