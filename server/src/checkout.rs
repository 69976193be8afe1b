//! Buying a plan: from a click to one Checkout Session, and back from Stripe.
//!
//! A purchase is written down as an attempt before Stripe is asked, under a lock on
//! the account; the attempt's id is Stripe's idempotency key. A double click, two
//! tabs and two nodes therefore end in one session. An open session for the same
//! purchase is used again; another purchase expires it before it begins: one open
//! subscription Checkout per account. What only Stripe knows counts too: its list of the
//! customer's subscriptions is asked before a session is made (`tests/checkout`).

use billing::{
    AccountId, CheckoutSessionId, CustomerId, Interval, Plan, Price, PriceId, Subscription, SubscriptionId, Timestamp,
};

use crate::auth::SignedIn;
use crate::ids;
use crate::store::checkouts::{Attempt, AttemptStatus};
use crate::store::{StoreError, accounts, checkouts, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::gateway::SubscriptionCheckout;
use crate::stripe::shape::{CheckoutSession, SessionStatus, ShapeError};
use crate::sync::{self, SyncError};
use crate::tollgate::Tollgate;

/// Why there is no session to go to.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// No such plan or interval.
    #[error("no such plan or interval")]
    UnknownPlan,
    /// The plan costs nothing, or is not sold at this interval.
    #[error("this plan is not for sale")]
    NotForSale,
    /// There is a subscription that has not ended: it can be changed, not doubled.
    #[error("there is a subscription already")]
    AlreadySubscribed,
    /// Other requests of the same account keep changing what is bought.
    #[error("another purchase of this account is under way")]
    InProgress,
    /// Stripe gave no usable answer; nothing was charged.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SyncError> for CheckoutError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Stripe(error) => Self::Stripe(error),
            SyncError::Store(error) => Self::Store(error),
            SyncError::Contended(_) => Self::InProgress,
        }
    }
}

/// What somebody wants to buy, found in the catalogue.
#[derive(Clone, Copy, Debug)]
struct Purchase<'a> {
    plan: &'a Plan,
    price: &'a Price,
}

impl<'a> Purchase<'a> {
    fn find(tollgate: &'a Tollgate, plan: &str, interval: &str) -> Result<Self, CheckoutError> {
        let plan = tollgate.catalog().plan_named(plan).ok_or(CheckoutError::UnknownPlan)?;
        let interval = Interval::parse(interval).ok_or(CheckoutError::UnknownPlan)?;
        let price = plan.price(interval).ok_or(CheckoutError::NotForSale)?;
        Ok(Self { plan, price })
    }

    /// As it is stored with the attempt.
    fn key(&self) -> String {
        format!("{}/{}", self.plan.tier, self.price.interval)
    }
}

/// Leads to the Checkout Session for a plan: Stripe's address to send the person to.
///
/// # Errors
/// See [`CheckoutError`].
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn start_subscription(
    tollgate: &Tollgate,
    who: &SignedIn,
    plan: &str,
    interval: &str,
) -> Result<String, CheckoutError> {
    let purchase = Purchase::find(tollgate, plan, interval)?;
    let account = &who.account_id;
    refuse_second(&subscriptions::of_account(tollgate.db(), account).await?)?;
    let customer = ensure_customer(tollgate, who).await?;
    refuse_second(&sync::all_of_customer(tollgate, &customer).await?)?;
    let price = match &purchase.price.id {
        Some(id) => id.clone(),
        None => tollgate.gateway().price_by_lookup_key(&purchase.price.lookup_key).await?,
    };

    // Each round ends with a session, or has taken one thing out of its way.
    for _ in 0..4 {
        let url = match take_attempt(tollgate, account, &purchase.key(), &price).await? {
            Taken::Ours(attempt) => match &attempt.session {
                Some((session, _)) => reuse(tollgate, session).await?,
                None => Some(open_session(tollgate, &customer, &attempt).await?),
            },
            Taken::InTheWay(attempt) => {
                clear_away(tollgate, &customer, &attempt).await?;
                None
            }
        };
        if let Some(url) = url {
            return Ok(url);
        }
    }
    Err(CheckoutError::InProgress)
}

fn refuse_second(subscriptions: &[Subscription]) -> Result<(), CheckoutError> {
    if subscriptions.iter().any(|subscription| !subscription.status.is_over()) {
        return Err(CheckoutError::AlreadySubscribed);
    }
    Ok(())
}

/// The account's Stripe customer. Stripe's idempotency key makes two first requests end in
/// one customer, and the unique account makes two answers end in one row.
async fn ensure_customer(tollgate: &Tollgate, who: &SignedIn) -> Result<CustomerId, CheckoutError> {
    if let Some(customer) = accounts::customer_of(tollgate.db(), &who.account_id).await? {
        return Ok(customer);
    }
    let made = tollgate.gateway().create_customer(&who.account_id, &who.email).await?;
    let mut tx = tollgate.db().begin().await?;
    sync::link(&mut tx, &made, &who.account_id, tollgate).await?;
    tx.commit().await?;
    accounts::customer_of(tollgate.db(), &who.account_id).await?.ok_or(CheckoutError::InProgress)
}

/// The account's one open attempt.
enum Taken {
    /// For what is wanted now; perhaps new.
    Ours(Attempt),
    /// For something else.
    InTheWay(Attempt),
}

/// The open attempt of the account, or a new one when there is none.
async fn take_attempt(
    tollgate: &Tollgate,
    account: &AccountId,
    purchase: &str,
    price: &PriceId,
) -> Result<Taken, CheckoutError> {
    let trial_days = if tollgate.trial_available(account).await? { tollgate.catalog().trial_days() } else { 0 };
    let mut tx = tollgate.db().begin().await?;
    accounts::lock_account(&mut tx, account).await?;
    refuse_second(&subscriptions::of_account_in(&mut tx, account).await?)?;
    if let Some(open) = checkouts::open_of(&mut tx, account).await? {
        let ours = open.purchase == purchase && open.price_id == *price && open.trial_days == trial_days;
        return Ok(if ours { Taken::Ours(open) } else { Taken::InTheWay(open) });
    }
    let attempt = Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        purchase: purchase.to_owned(),
        price_id: price.clone(),
        trial_days,
        status: AttemptStatus::Creating,
        session: None,
    };
    checkouts::insert(&mut tx, &attempt, tollgate.now()).await?;
    tx.commit().await?;
    Ok(Taken::Ours(attempt))
}

/// Gives an attempt up, its session first: an attempt that is closed here while its session
/// can still be paid there would be a second purchase. One whose session is not known yet
/// may have one all the same; asking again with its key tells which.
async fn clear_away(tollgate: &Tollgate, customer: &CustomerId, attempt: &Attempt) -> Result<(), CheckoutError> {
    let Some((session, _)) = &attempt.session else {
        return match open_session(tollgate, customer, attempt).await {
            // It has a session now, or is closed: the next round sees which.
            Ok(_) | Err(CheckoutError::InProgress) => Ok(()),
            Err(CheckoutError::Stripe(error)) if error.is_final() => Ok(()),
            Err(error) => Err(error),
        };
    };
    expire(tollgate, session).await?;
    let mut tx = tollgate.db().begin().await?;
    checkouts::close(&mut tx, &attempt.id, AttemptStatus::Superseded).await?;
    tx.commit().await?;
    Ok(())
}

/// The address of an open session; `None` when it has been closed, which is written down.
async fn reuse(tollgate: &Tollgate, session: &CheckoutSessionId) -> Result<Option<String>, CheckoutError> {
    let (_, now) = sync::checkout_session(tollgate, session, &[]).await?;
    match now {
        Some(CheckoutSession { status: SessionStatus::Open, url: Some(url), .. }) => Ok(Some(url)),
        Some(CheckoutSession { status: SessionStatus::Complete, .. }) => Err(CheckoutError::AlreadySubscribed),
        _ => {
            let mut tx = tollgate.db().begin().await?;
            checkouts::close_session(&mut tx, session, AttemptStatus::Expired).await?;
            tx.commit().await?;
            Ok(None)
        }
    }
}

/// Asks Stripe for the attempt's session: its address.
async fn open_session(tollgate: &Tollgate, customer: &CustomerId, attempt: &Attempt) -> Result<String, CheckoutError> {
    let app = &tollgate.config().app_url;
    let asked = SubscriptionCheckout {
        attempt: &attempt.id,
        customer,
        account: &attempt.account_id,
        price: &attempt.price_id,
        trial_days: attempt.trial_days,
        success_url: &format!("{app}billing/success?session_id={{CHECKOUT_SESSION_ID}}"),
        cancel_url: &format!("{app}pricing?notice=canceled"),
    };
    let session = match tollgate.gateway().create_subscription_checkout(&asked).await {
        Ok(session) => session,
        Err(error) => {
            // A final no is repeated for this key as long as Stripe remembers it: the next click needs a new one.
            if error.is_final() {
                let mut tx = tollgate.db().begin().await?;
                checkouts::close(&mut tx, &attempt.id, AttemptStatus::Failed).await?;
                tx.commit().await?;
            }
            return Err(error.into());
        }
    };
    let url = session.url.ok_or(GatewayError::Shape(ShapeError { object: "checkout.session", field: "url" }))?;
    let mut tx = tollgate.db().begin().await?;
    let kept = checkouts::set_open(&mut tx, &attempt.id, &session.id, &url).await?;
    tx.commit().await?;
    if kept {
        return Ok(url);
    }
    // A later choice has taken its place meanwhile.
    expire(tollgate, &session.id).await?;
    Err(CheckoutError::InProgress)
}

/// Closes a session at Stripe. One that was paid just now is a subscription, and no second is sold.
async fn expire(tollgate: &Tollgate, session: &CheckoutSessionId) -> Result<(), CheckoutError> {
    match tollgate.gateway().expire_checkout_session(session).await {
        Ok(_) => Ok(()),
        Err(GatewayError::Refused { .. }) => {
            let (_, now) = sync::checkout_session(tollgate, session, &[]).await?;
            match now {
                Some(CheckoutSession { status: SessionStatus::Complete, .. }) => Err(CheckoutError::AlreadySubscribed),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// How a Checkout ended, for the page that Stripe sends people back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plan is theirs.
    Paid {
        /// The plan's name.
        plan: String,
        /// When the trial ends, if this is one.
        trial_end: Option<Timestamp>,
        /// When the next charge is due.
        renews: Timestamp,
    },
    /// Stripe has not said yes yet, or could not be asked.
    Pending,
    /// Not paid, and still to be had there.
    Open {
        /// Where to pay.
        url: String,
    },
    /// Too late: begin anew.
    Expired,
}

/// How the Checkout of a session ended, after asking Stripe: right before the webhook comes.
/// `None` for a session that is not this account's, whoever's it is.
///
/// # Errors
/// The database failed. A Stripe that cannot be asked is [`Outcome::Pending`].
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn outcome(tollgate: &Tollgate, who: &SignedIn, session_id: &str) -> Result<Option<Outcome>, CheckoutError> {
    if !session_id.starts_with("cs_") || !session_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(None);
    }
    let id = CheckoutSessionId::new(session_id);
    let theirs =
        checkouts::by_session(tollgate.db(), &id).await?.is_some_and(|found| found.account_id == who.account_id);
    if !theirs {
        return Ok(None);
    }
    let session = match sync::checkout_session(tollgate, &id, &[]).await {
        Ok((_, Some(session))) => session,
        Ok((_, None)) => return Ok(None),
        Err(SyncError::Store(error)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "Stripe could not be asked about a finished Checkout");
            return Ok(Some(Outcome::Pending));
        }
    };
    Ok(Some(match (session.status, session.url, session.subscription) {
        (SessionStatus::Expired, ..) => Outcome::Expired,
        (SessionStatus::Open, Some(url), _) => Outcome::Open { url },
        (SessionStatus::Complete, _, Some(subscription)) if session.paid => {
            paid(tollgate, &subscription).await?.unwrap_or(Outcome::Pending)
        }
        _ => Outcome::Pending,
    }))
}

async fn paid(tollgate: &Tollgate, id: &SubscriptionId) -> Result<Option<Outcome>, StoreError> {
    let Some(stored) = subscriptions::by_id(tollgate.db(), id).await? else { return Ok(None) };
    let subscription = stored.subscription;
    let (tier, _) = subscription.tier(tollgate.catalog());
    let plan = tier.and_then(|tier| tollgate.catalog().plan(tier));
    Ok(plan.map(|plan| Outcome::Paid {
        plan: plan.name.clone(),
        trial_end: subscription.trial_end.filter(|end| *end > tollgate.now()),
        renews: subscription.period().end,
    }))
}
