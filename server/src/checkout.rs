//! Buying a plan or a product: from a click to one Checkout Session, and back from Stripe.
//!
//! A purchase is written down as an attempt before Stripe is asked, under a lock on
//! the account; the attempt's id is Stripe's idempotency key. A double click, two
//! tabs and two nodes therefore end in one session. An open session for the same
//! purchase is used again; another plan expires it before it begins: one open
//! subscription Checkout per account, and one per product. What only Stripe knows counts too: its
//! list of the customer's subscriptions is asked before a plan is sold (`tests/http/checkout.rs`,
//! `tests/http/purchase.rs`).

use billing::ledger::Purchase;
use billing::{
    AccountId, CheckoutSessionId, CustomerId, Interval, Plan, Price, PriceId, Product, Subscription, SubscriptionId,
    Timestamp,
};

use crate::auth::SignedIn;
use crate::ids;
use crate::store::checkouts::{Attempt, AttemptStatus, Wanted};
use crate::store::{StoreError, accounts, checkouts, customers, purchases, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::checkout_sessions::{NewCheckout, Sells};
use crate::stripe::shape::{CheckoutSession, SessionStatus, ShapeError};
use crate::sync::{self, Along, Object, SyncError};
use crate::tollgate::Tollgate;

/// How often a purchase looks again. Each round ends with a session, or has taken one thing out of
/// its way; a purchase that others began meanwhile takes two. Five of them at once are enough room:
/// whoever gives up in the middle may leave none open.
const ROUNDS: usize = 12;

/// Why there is no session to go to.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// No such plan, interval or product.
    #[error("no such plan, interval or product")]
    Unknown,
    /// The plan costs nothing, or is not sold at this interval.
    #[error("this plan is not for sale")]
    NotForSale,
    /// There is a subscription that has not ended: it can be changed, not doubled.
    #[error("there is a subscription already")]
    AlreadySubscribed,
    /// It was bought just now, in another tab.
    #[error("it is bought already")]
    JustBought(CheckoutSessionId),
    /// The account was closed.
    #[error("the account is closed")]
    Closed,
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
            SyncError::Contended(_) | SyncError::TakenOver(_) => Self::InProgress,
        }
    }
}

/// What somebody wants to buy, found in the catalogue.
#[derive(Clone, Copy, Debug)]
enum Offer<'a> {
    Plan(&'a Plan, &'a Price),
    Product(&'a Product),
}

impl<'a> Offer<'a> {
    fn plan(tollgate: &'a Tollgate, plan: &str, interval: &str) -> Result<Self, CheckoutError> {
        let plan = tollgate.catalog().plan_named(plan).ok_or(CheckoutError::Unknown)?;
        let interval = Interval::parse(interval).ok_or(CheckoutError::Unknown)?;
        let price = plan.price(interval).ok_or(CheckoutError::NotForSale)?;
        Ok(Self::Plan(plan, price))
    }

    fn wanted(&self) -> Wanted {
        match self {
            Self::Plan(plan, price) => Wanted::Plan(format!("{}/{}", plan.tier, price.interval)),
            Self::Product(product) => Wanted::Product(product.key.clone()),
        }
    }

    /// Stripe's ids of its price, as configured, else by its lookup key; and of what is billed beside it.
    async fn prices(&self, tollgate: &Tollgate) -> Result<Prices, GatewayError> {
        let mut metered = Vec::new();
        if let Self::Plan(plan, price) = self {
            for (_, metered_price) in tollgate.catalog().metered_prices_of(plan) {
                let key = metered_price.lookup_key_at(price.interval);
                metered.push(tollgate.gateway().price_by_lookup_key(&key).await?);
            }
        }
        Ok(Prices { price: self.price(tollgate).await?, metered })
    }

    async fn price(&self, tollgate: &Tollgate) -> Result<PriceId, GatewayError> {
        let (id, lookup_key) = match self {
            Self::Plan(_, price) => (&price.id, &price.lookup_key),
            Self::Product(product) => (&product.id, &product.lookup_key),
        };
        match id {
            Some(id) => Ok(id.clone()),
            None => tollgate.gateway().price_by_lookup_key(lookup_key).await,
        }
    }
}

/// Stripe's prices of an offer.
#[derive(Clone, Debug)]
struct Prices {
    price: PriceId,
    metered: Vec<PriceId>,
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
    let offer = Offer::plan(tollgate, plan, interval)?;
    refuse_second(&subscriptions::of_account(tollgate.db(), &who.account_id).await?)?;
    let customer = live_customer(tollgate, who).await?;
    refuse_second(&sync::all_of_customer(tollgate, &customer).await?)?;
    session_for(tollgate, &who.account_id, &customer, &offer).await
}

/// Leads to the Checkout Session for something that is bought once.
///
/// # Errors
/// See [`CheckoutError`].
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn start_purchase(tollgate: &Tollgate, who: &SignedIn, product: &str) -> Result<String, CheckoutError> {
    let offer = Offer::Product(tollgate.catalog().product(product).ok_or(CheckoutError::Unknown)?);
    let customer = live_customer(tollgate, who).await?;
    session_for(tollgate, &who.account_id, &customer, &offer).await
}

/// The session for an offer, with whatever stands in its way cleared away.
async fn session_for(
    tollgate: &Tollgate,
    account: &AccountId,
    customer: &CustomerId,
    offer: &Offer<'_>,
) -> Result<String, CheckoutError> {
    let prices = offer.prices(tollgate).await?;
    for _ in 0..ROUNDS {
        let url = match take_attempt(tollgate, account, customer, &offer.wanted(), &prices).await? {
            Taken::Ours(attempt) => match &attempt.session {
                Some((session, _)) => reuse(tollgate, session, offer).await?,
                None => Some(open_session(tollgate, &attempt).await?),
            },
            Taken::InTheWay(attempt) => {
                clear_away(tollgate, &attempt).await?;
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
    if subscriptions.iter().any(|subscription| !subscription.status.has_ended()) {
        return Err(CheckoutError::AlreadySubscribed);
    }
    Ok(())
}

/// The account's Stripe customer, as Stripe has it now: one that was deleted there, heard of or not,
/// gets a successor. Stripe's idempotency key makes two first requests end in one customer, and the
/// unique account makes two answers end in one row.
pub(crate) async fn live_customer(tollgate: &Tollgate, who: &SignedIn) -> Result<CustomerId, CheckoutError> {
    let (db, account) = (tollgate.db(), &who.account_id);
    if let Some(known) = customers::of_account(db, account).await? {
        sync::objects(tollgate, &[Object::Customer(known)].into(), Along::reason("purchase")).await?;
        if let Some(customer) = customers::of_account(db, account).await? {
            return Ok(customer);
        }
    }
    // Only the deleted ones are counted: a live one that somebody links meanwhile must not make another key.
    let deleted = customers::deleted(db, account).await?;
    let made = tollgate.gateway().create_customer(account, &who.email, deleted).await?.object;
    let mut tx = db.begin().await?;
    sync::link(&mut tx, &made.id, account, false, tollgate).await?;
    // As Stripe has just said; if somebody else wrote meanwhile, they know better.
    customers::write(&mut tx, &made, 0, tollgate.now()).await?;
    tx.commit().await?;
    customers::of_account(db, account).await?.ok_or(CheckoutError::InProgress)
}

/// The account's open attempt where this purchase would stand.
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
    customer: &CustomerId,
    wanted: &Wanted,
    prices: &Prices,
) -> Result<Taken, CheckoutError> {
    let is_plan = matches!(wanted, Wanted::Plan(_));
    let has_trial = is_plan && tollgate.trial_available(account).await?;
    let trial_days = if has_trial { tollgate.catalog().trial_days() } else { 0 };
    let mut tx = tollgate.db().begin().await?;
    if !accounts::lock_account(&mut tx, account).await? {
        return Err(CheckoutError::Closed);
    }
    if is_plan {
        refuse_second(&subscriptions::of_account_in(&mut tx, account).await?)?;
    }
    let attempt = Attempt {
        id: ids::new_id(),
        account_id: account.clone(),
        customer_id: customer.clone(),
        wanted: wanted.clone(),
        price_id: prices.price.clone(),
        metered: prices.metered.clone(),
        trial_days,
        status: AttemptStatus::Creating,
        session: None,
    };
    if let Some(open) = checkouts::open_of(&mut tx, account, wanted).await? {
        return Ok(if open.asks_the_same(&attempt) { Taken::Ours(open) } else { Taken::InTheWay(open) });
    }
    checkouts::insert(&mut tx, &attempt, tollgate.now()).await?;
    tx.commit().await?;
    Ok(Taken::Ours(attempt))
}

/// Gives an attempt up, its session first: an attempt that is closed here while its session
/// can still be paid there would be a second purchase. One whose session is not known yet
/// may have one all the same; asking again with its key tells which.
async fn clear_away(tollgate: &Tollgate, attempt: &Attempt) -> Result<(), CheckoutError> {
    let Some((session, _)) = &attempt.session else {
        return match open_session(tollgate, attempt).await {
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

/// Closes every Checkout that the account has open, so that nothing can be bought for it any more.
///
/// # Errors
/// See [`CheckoutError`]; what was closed before stays closed.
pub(crate) async fn close_all(tollgate: &Tollgate, account: &AccountId) -> Result<(), CheckoutError> {
    // One whose session is not known yet takes two rounds.
    for _ in 0..2 {
        for attempt in checkouts::all_open_of(tollgate.db(), account).await? {
            clear_away(tollgate, &attempt).await?;
        }
    }
    Ok(())
}

/// The address of an open session; `None` when it has been closed, which is written down.
async fn reuse(
    tollgate: &Tollgate,
    session: &CheckoutSessionId,
    offer: &Offer<'_>,
) -> Result<Option<String>, CheckoutError> {
    match sync::checkout_session(tollgate, session).await? {
        Some(CheckoutSession { status: SessionStatus::Open, url: Some(url), .. }) => Ok(Some(url)),
        Some(CheckoutSession { status: SessionStatus::Complete, .. }) => Err(match offer {
            Offer::Plan(..) => CheckoutError::AlreadySubscribed,
            Offer::Product(_) => CheckoutError::JustBought(session.clone()),
        }),
        _ => {
            let mut tx = tollgate.db().begin().await?;
            checkouts::close_session(&mut tx, session, AttemptStatus::Expired).await?;
            tx.commit().await?;
            Ok(None)
        }
    }
}

/// Asks Stripe for the attempt's session: its address.
async fn open_session(tollgate: &Tollgate, attempt: &Attempt) -> Result<String, CheckoutError> {
    let app = &tollgate.config().app_url;
    let (sells, cancel) = match &attempt.wanted {
        Wanted::Plan(_) => (Sells::Plan { trial_days: attempt.trial_days }, "pricing"),
        Wanted::Product(key) => (Sells::Product { key }, "billing"),
    };
    let asked = NewCheckout {
        attempt: &attempt.id,
        customer: &attempt.customer_id,
        account: &attempt.account_id,
        price: &attempt.price_id,
        metered: &attempt.metered,
        sells,
        success_url: &format!("{app}billing/success?session_id={{CHECKOUT_SESSION_ID}}"),
        cancel_url: &format!("{app}{cancel}?notice=canceled"),
    };
    let session = match tollgate.gateway().create_checkout(&asked).await {
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
        Err(GatewayError::Refused { .. }) => match sync::checkout_session(tollgate, session).await? {
            Some(CheckoutSession { status: SessionStatus::Complete, subscription: Some(_), .. }) => {
                Err(CheckoutError::AlreadySubscribed)
            }
            _ => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}

/// How a Checkout ended, for the page that Stripe sends people back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plan is theirs.
    Subscribed {
        /// The plan's name.
        plan: String,
        /// When the trial ends, if this is one.
        trial_end: Option<Timestamp>,
        /// When the next charge is due.
        renews: Timestamp,
    },
    /// What they bought is theirs.
    Bought(Purchase),
    /// The session is through and the money is on its way: a bank transfer takes days.
    OnItsWay(Purchase),
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
    let session = match sync::checkout_session(tollgate, &id).await {
        Ok(Some(session)) => session,
        Ok(None) => return Ok(None),
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
            subscribed(tollgate, &subscription).await?.unwrap_or(Outcome::Pending)
        }
        (SessionStatus::Complete, _, None) => match purchases::by_session(tollgate.db(), &id).await? {
            Some(bought) if session.paid => Outcome::Bought(bought.object),
            Some(bought) => Outcome::OnItsWay(bought.object),
            None => Outcome::Pending,
        },
        _ => Outcome::Pending,
    }))
}

async fn subscribed(tollgate: &Tollgate, id: &SubscriptionId) -> Result<Option<Outcome>, StoreError> {
    let Some(stored) = subscriptions::by_id(tollgate.db(), id).await? else { return Ok(None) };
    let subscription = stored.object;
    let (tier, _) = subscription.tier(tollgate.catalog());
    let plan = tier.and_then(|tier| tollgate.catalog().plan(tier));
    Ok(plan.map(|plan| Outcome::Subscribed {
        plan: plan.name.clone(),
        trial_end: subscription.trial_end.filter(|end| *end > tollgate.now()),
        renews: subscription.period().end,
    }))
}
