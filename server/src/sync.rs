//! Making the database say what Stripe says.
//!
//! Nothing is derived from an event: the object is fetched from Stripe and written
//! whole, in one transaction with the events that made us look. Of two who fetch at
//! once, the one who fetched first may hold the older answer; the version that was
//! read before fetching decides, and the loser fetches again (`server/tests/store/subscriptions.rs`, `tests/http/webhook.rs`).

use billing::{AccountId, Catalog, CheckoutSessionId, CustomerId, EventId, Status, Subscription, SubscriptionId};

use crate::access::CHANNEL;
use crate::store::checkouts::AttemptStatus;
use crate::store::inbox::EventState;
use crate::store::{StoreError, Tx, accounts, checkouts, inbox, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::shape::{CheckoutSession, SessionStatus, SubscriptionShape};
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
    /// Others wrote the same subscription every time.
    #[error("others kept writing {0}")]
    Contended(SubscriptionId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// Written down for this account.
    Written(AccountId),
    /// No account owns this customer, so there is nowhere to write it yet.
    Unmatched,
    /// Stripe has no such object and neither have we.
    Nothing,
}

/// What is committed together with the object.
#[derive(Clone, Debug, Default)]
pub struct Along<'a> {
    /// Events that this settles.
    pub events: &'a [EventId],
    /// The Checkout Session that led here.
    pub session: Option<&'a CheckoutSession>,
}

impl Along<'_> {
    /// What made us look, for the record.
    fn cause(&self) -> String {
        let events: Vec<&str> = self.events.iter().map(EventId::as_str).collect();
        match self.session {
            _ if !events.is_empty() => events.join(","),
            Some(session) => session.id.to_string(),
            None => "asked".to_owned(),
        }
    }
}

/// Brings one subscription up to date.
///
/// # Errors
/// See [`SyncError`]; then nothing was written, and trying again later is right.
#[tracing::instrument(skip_all, fields(subscription = %id))]
pub async fn subscription(tollgate: &Tollgate, id: &SubscriptionId, along: &Along<'_>) -> Result<Synced, SyncError> {
    for _ in 0..ROUNDS {
        let seen = subscriptions::by_id(tollgate.db(), id).await?;
        let fetched = match tollgate.gateway().subscription(id).await {
            Ok(fetched) => fetched,
            Err(error) if error.is_missing() => match &seen {
                // Only test data disappears at Stripe; what is gone gives nothing.
                Some(seen) => gone(&seen.subscription),
                None => {
                    settle_only(tollgate, along, EventState::Done).await?;
                    return Ok(Synced::Nothing);
                }
            },
            Err(error) => return Err(error.into()),
        };
        if let Some(synced) = write(tollgate, fetched, seen.as_ref(), along).await? {
            return Ok(synced);
        }
    }
    Err(SyncError::Contended(id.clone()))
}

/// Brings up to date what a Checkout Session led to, and the attempt it belongs to.
///
/// # Errors
/// See [`SyncError`].
#[tracing::instrument(skip_all, fields(session = %id))]
pub async fn checkout_session(
    tollgate: &Tollgate,
    id: &CheckoutSessionId,
    events: &[EventId],
) -> Result<(Synced, Option<CheckoutSession>), SyncError> {
    let session = match tollgate.gateway().checkout_session(id).await {
        Ok(session) => session,
        Err(error) if error.is_missing() => {
            settle_only(tollgate, &Along { events, session: None }, EventState::Done).await?;
            return Ok((Synced::Nothing, None));
        }
        Err(error) => return Err(error.into()),
    };
    let along = Along { events, session: Some(&session) };
    let synced = match &session.subscription {
        Some(subscription_id) => subscription(tollgate, subscription_id, &along).await?,
        None => {
            settle_only(tollgate, &along, EventState::Done).await?;
            Synced::Nothing
        }
    };
    Ok((synced, Some(session)))
}

/// Brings every subscription of a customer up to date, from Stripe's own list.
///
/// # Errors
/// See [`SyncError`].
pub async fn all_of_customer(tollgate: &Tollgate, customer: &CustomerId) -> Result<Vec<Subscription>, SyncError> {
    let listed = tollgate.gateway().subscriptions_of(customer).await?;
    for shape in &listed {
        subscription(tollgate, &shape.subscription.id, &Along::default()).await?;
    }
    Ok(listed.into_iter().map(|shape| shape.subscription).collect())
}

/// `None`: somebody else wrote meanwhile.
async fn write(
    tollgate: &Tollgate,
    fetched: SubscriptionShape,
    seen: Option<&subscriptions::Stored>,
    along: &Along<'_>,
) -> Result<Option<Synced>, SyncError> {
    let now = tollgate.now();
    let known = accounts::account_of(tollgate.db(), &fetched.subscription.customer).await?;
    let named = match (&known, named_account(&fetched, along)) {
        (None, Some(named)) if accounts::account_exists(tollgate.db(), &named).await? => Some(named),
        _ => None,
    };

    let mut tx = tollgate.db().begin().await?;
    let account = match (known, named) {
        (Some(account), _) => account,
        (None, Some(account)) if link(&mut tx, &fetched.subscription.customer, &account, tollgate).await? => account,
        _ => {
            settle(&mut tx, along, EventState::Unmatched, tollgate).await?;
            tx.commit().await?;
            tracing::warn!(customer = %fetched.subscription.customer, "no account for this Stripe customer; kept until one is linked");
            return Ok(Some(Synced::Unmatched));
        }
    };
    let subscription = remember(fetched, seen.map(|seen| &seen.subscription), tollgate.catalog());
    if !subscriptions::write(&mut tx, &account, &subscription, seen.map(|seen| seen.version), &along.cause(), now)
        .await?
    {
        return Ok(None);
    }
    if subscription.trial_end.is_some() {
        let email = accounts::owner_canonical_email(&mut tx, &account).await?;
        subscriptions::claim_trial(&mut tx, &account, email.as_deref(), &subscription.id, now).await?;
    }
    settle(&mut tx, along, EventState::Done, tollgate).await?;
    tx.notify(CHANNEL, account.as_str()).await?;
    tx.commit().await?;
    tollgate.access().forget(&account).await;
    tracing::info!(%account, status = subscription.status.as_str(), "subscription {} is written", subscription.id);
    Ok(Some(Synced::Written(account)))
}

fn named_account(fetched: &SubscriptionShape, along: &Along<'_>) -> Option<AccountId> {
    fetched.account.clone().or_else(|| along.session.and_then(|session| session.account.clone())).map(AccountId::new)
}

/// Links a customer, and makes the events that waited for it due.
pub(crate) async fn link(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    tollgate: &Tollgate,
) -> Result<bool, StoreError> {
    let linked = accounts::link_customer(tx, customer, account, tollgate.now()).await?;
    if linked && inbox::revive_unmatched(tx, customer, tollgate.now()).await? > 0 {
        tollgate.inbox_filled().notify_one();
    }
    Ok(linked)
}

/// Adds what only we remember: since when it is past due, and what its prices last meant.
pub(crate) fn remember(fetched: SubscriptionShape, before: Option<&Subscription>, catalog: &Catalog) -> Subscription {
    let mut subscription = fetched.subscription;
    if subscription.status == Status::PastDue {
        subscription.past_due_since = before
            .filter(|before| before.status == Status::PastDue)
            .and_then(|before| before.past_due_since)
            .or(fetched.open_invoice_since);
    }
    subscription.last_known_tier = before.and_then(|before| before.last_known_tier.clone());
    if let (Some(tier), true) = subscription.tier(catalog) {
        subscription.last_known_tier = Some(tier.clone());
    }
    subscription
}

fn gone(subscription: &Subscription) -> SubscriptionShape {
    SubscriptionShape {
        subscription: Subscription { status: Status::Canceled, ..subscription.clone() },
        account: None,
        open_invoice_since: None,
    }
}

async fn settle_only(tollgate: &Tollgate, along: &Along<'_>, state: EventState) -> Result<(), StoreError> {
    let mut tx = tollgate.db().begin().await?;
    settle(&mut tx, along, state, tollgate).await?;
    tx.commit().await
}

async fn settle(tx: &mut Tx, along: &Along<'_>, state: EventState, tollgate: &Tollgate) -> Result<(), StoreError> {
    for event in along.events {
        inbox::settle(tx, event, state, tollgate.now()).await?;
    }
    let Some(session) = along.session else { return Ok(()) };
    let status = match session.status {
        SessionStatus::Open => return Ok(()),
        SessionStatus::Complete => AttemptStatus::Complete,
        SessionStatus::Expired => AttemptStatus::Expired,
    };
    checkouts::close_session(tx, &session.id, status).await
}
