//! Making the database say what Stripe says.
//!
//! Nothing is derived from an event: the object is fetched from Stripe and written
//! whole, in one transaction with the events that made us look. Of two who fetch at
//! once, the one who fetched first may hold the older answer; the version that was
//! read before fetching decides, and the loser fetches again. So in whatever order
//! events come, and however often, the end is what Stripe says
//! (`tests/convergence`).
//!
//! [`object`] names what can be asked about, `fetch` asks, `owner` finds out whose it
//! is, `write` commits.

mod fetch;
pub mod object;
mod owner;
mod trial;
mod write;

use std::collections::BTreeSet;

use billing::{AccountId, Catalog, CheckoutSessionId, CustomerId, EventId, Subscription, SubscriptionId};

pub use object::Object;
pub(crate) use owner::link;
pub(crate) use trial::TERMS as TRIAL_TERMS;

use self::write::{Written, remembered};
use crate::store::inbox::{self, Lease};
use crate::store::{StoreError, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::shape::{CheckoutSession, SubscriptionShape};
use crate::tollgate::Tollgate;

/// How often a fetch is repeated because somebody else wrote meanwhile.
const ROUNDS: usize = 8;

/// Why the database does not say what Stripe says.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Stripe gave no usable answer.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others wrote the same objects every time.
    #[error("others kept writing {0}")]
    Contended(String),
    /// It took so long that somebody else applies the events by now.
    #[error("{0} was claimed again meanwhile")]
    TakenOver(EventId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written down for this account.
    Written(AccountId),
    /// No account owns this customer, so there is nowhere to write it yet.
    Unmatched(CustomerId),
    /// Stripe has no such object and neither have we, or it is of no customer.
    Nobody,
}

/// What is committed together with the objects.
#[derive(Clone, Copy, Debug)]
pub struct Along<'a> {
    /// Events that this settles, as they are held.
    pub events: &'a [Lease],
    /// Those of them that do not say whose they are.
    pub unnamed: &'a [EventId],
    /// What made us look, where no event did: a word for the record.
    pub reason: &'static str,
}

impl<'a> Along<'a> {
    /// Because somebody asked: a page, or a comparison with Stripe.
    pub const fn reason(reason: &'static str) -> Self {
        Self { events: &[], unnamed: &[], reason }
    }

    /// Because of these events, of which `unnamed` do not say whose they are.
    pub const fn events(events: &'a [Lease], unnamed: &'a [EventId]) -> Self {
        Self { events, unnamed, reason: "events" }
    }

    /// What made us look, for the record.
    fn cause(&self) -> String {
        if self.events.is_empty() {
            return self.reason.to_owned();
        }
        let events: Vec<&str> = self.events.iter().map(|lease| lease.event.as_str()).collect();
        events.join(",")
    }
}

/// Brings objects up to date, and whatever they imply: all of it, or nothing.
///
/// # Errors
/// See [`SyncError`]; then nothing was written, and trying again later is right.
#[tracing::instrument(skip_all, fields(objects = objects.iter().map(Object::id).collect::<Vec<_>>().join(",")))]
pub async fn objects(tollgate: &Tollgate, objects: &BTreeSet<Object>, along: Along<'_>) -> Result<Outcome, SyncError> {
    sync(tollgate, objects, along).await.map(|(outcome, _)| outcome)
}

async fn sync(
    tollgate: &Tollgate,
    objects: &BTreeSet<Object>,
    along: Along<'_>,
) -> Result<(Outcome, fetch::Fetched), SyncError> {
    for _ in 0..ROUNDS {
        let fetched = fetch::all(tollgate, objects).await?;
        // Before anything else: whoever links the customer meanwhile must find all that waits for it.
        if let (Some(customer), false) = (fetched.customer(), along.unnamed.is_empty()) {
            inbox::name_customer(tollgate.db(), along.unnamed, customer).await?;
        }
        match write::all(tollgate, &fetched, &along).await? {
            Written::Done(outcome) => return Ok((outcome, fetched)),
            Written::Raced => {}
            Written::TakenOver(event) => return Err(SyncError::TakenOver(event)),
            Written::SecondTrial(id) => {
                tracing::warn!(subscription = %id, "the trial of {id} is somebody's second one and ends now");
                tollgate.gateway().end_trial(&id).await?;
            }
        }
    }
    let names: Vec<&str> = objects.iter().map(Object::id).collect();
    Err(SyncError::Contended(names.join(", ")))
}

/// The customer whose the objects are, when [`objects`] would find that no account owns it. Nothing
/// is written.
///
/// # Errors
/// See [`SyncError`].
pub(crate) async fn stranger(tollgate: &Tollgate, objects: &BTreeSet<Object>) -> Result<Option<CustomerId>, SyncError> {
    let fetched = fetch::all(tollgate, objects).await?;
    Ok(write::stranger(tollgate, &fetched).await?)
}

/// Brings one subscription up to date.
///
/// # Errors
/// See [`SyncError`].
pub async fn subscription(tollgate: &Tollgate, id: &SubscriptionId, along: Along<'_>) -> Result<Outcome, SyncError> {
    objects(tollgate, &BTreeSet::from([Object::Subscription(id.clone())]), along).await
}

/// Brings up to date what a Checkout Session led to, and the attempt it belongs to. The session as
/// Stripe has it now; `None` for one that Stripe does not have.
///
/// # Errors
/// See [`SyncError`].
pub async fn checkout_session(
    tollgate: &Tollgate,
    id: &CheckoutSessionId,
) -> Result<Option<CheckoutSession>, SyncError> {
    let wanted = BTreeSet::from([Object::CheckoutSession(id.clone())]);
    let (_, mut fetched) = sync(tollgate, &wanted, Along::reason("checkout")).await?;
    Ok(fetched.sessions.pop().map(|fresh| fresh.now))
}

/// Every subscription of a customer, from Stripe's own list. Those that are written down
/// differently are brought up to date.
///
/// # Errors
/// See [`SyncError`].
pub async fn all_of_customer(tollgate: &Tollgate, customer: &CustomerId) -> Result<Vec<Subscription>, SyncError> {
    let listed = tollgate.gateway().subscriptions_of(customer).await?;
    let ids: Vec<&str> = listed.iter().map(|shape| shape.subscription.id.as_str()).collect();
    let mut here = subscriptions::by_ids(tollgate.db(), &ids).await?;
    for shape in &listed {
        let id = &shape.subscription.id;
        let stored = here.remove(id).transpose()?.map(|stored| stored.object);
        if !is_current(stored.as_ref(), shape, tollgate.catalog()) {
            subscription(tollgate, id, Along::reason("purchase")).await?;
        }
    }
    Ok(listed.into_iter().map(|shape| shape.subscription).collect())
}

/// Whether a subscription is written down as Stripe says that it is.
pub(crate) fn is_current(here: Option<&Subscription>, there: &SubscriptionShape, catalog: &Catalog) -> bool {
    here == Some(&remembered(there, here, catalog))
}
