//! Checkout attempts: one open attempt for plans and one per product at a time.

use billing::{AccountId, CheckoutSessionId, CustomerId, Interval, PriceId, Tier, Timestamp};

use super::row::RowRef;
use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    OPEN_PLAN = "SELECT * FROM checkout_attempt \
        WHERE account_id = $1 AND kind = 'subscription' AND status IN ('creating', 'open')";
    OPEN_PRODUCT = "SELECT * FROM checkout_attempt \
        WHERE account_id = $1 AND kind = 'product' AND item = $2 AND status IN ('creating', 'open')";
    ALL_OPEN = "SELECT * FROM checkout_attempt WHERE account_id = $1 AND status IN ('creating', 'open')";
    BY_ID = "SELECT * FROM checkout_attempt WHERE id = $1";
    BY_SESSION = "SELECT * FROM checkout_attempt WHERE session_id = $1";
    INSERT = "INSERT INTO checkout_attempt (id, account_id, customer_id, kind, item, price_id, trial_days, status, created_at, metered_prices) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'creating', $8, $9)";
    SET_OPEN = "UPDATE checkout_attempt SET status = 'open', session_id = $2, url = $3 \
        WHERE id = $1 AND status IN ('creating', 'open')";
    CLOSE = "UPDATE checkout_attempt SET status = $2 WHERE id = $1 AND status IN ('creating', 'open')";
    CLOSE_BY_SESSION = "UPDATE checkout_attempt SET status = $2 \
        WHERE session_id = $1 AND status IN ('creating', 'open', 'superseded')";
}

/// The item of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckoutItem {
    /// A plan at an interval, such as `PRO/month`.
    Plan(String),
    /// A product, by its key.
    Product(String),
}

impl CheckoutItem {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Plan(_) => "subscription",
            Self::Product(_) => "product",
        }
    }

    /// Returns the plan and interval, or the product's key.
    pub fn name(&self) -> &str {
        match self {
            Self::Plan(name) | Self::Product(name) => name,
        }
    }

    /// Creates the item for a plan at an interval.
    pub fn plan(tier: &Tier, interval: Interval) -> Self {
        Self::Plan(format!("{tier}/{interval}"))
    }

    /// Returns the name of the plan's tier; `None` for a product.
    pub fn tier(&self) -> Option<&str> {
        match self {
            Self::Plan(name) => name.split_once('/').map(|(tier, _)| tier),
            Self::Product(_) => None,
        }
    }

    fn parse(kind: &str, name: String) -> Option<Self> {
        match kind {
            "subscription" => Some(Self::Plan(name)),
            "product" => Some(Self::Product(name)),
            _ => None,
        }
    }
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStatus {
    /// Its session is being created, or was when the request was abandoned.
    Creating,
    /// Its session can be paid.
    Open,
    /// Its session was completed.
    Complete,
    /// Its session expired.
    Expired,
    /// Another purchase replaced it.
    Superseded,
    /// Stripe rejected the request for its session.
    Failed,
}

impl AttemptStatus {
    /// Returns the text stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Creating, Self::Open, Self::Complete, Self::Expired, Self::Superseded, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A Checkout Session in Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// `cs_…`.
    pub id: CheckoutSessionId,
    /// The Checkout page.
    pub url: String,
}

/// A started purchase.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The attempt's id, also the idempotency key in Stripe.
    pub id: String,
    /// The buyer.
    pub account_id: AccountId,
    /// The buyer in Stripe.
    pub customer_id: CustomerId,
    /// The item bought.
    pub item: CheckoutItem,
    /// The price in Stripe.
    pub price_id: PriceId,
    /// The prices in Stripe of usage beyond the plan.
    pub metered: Vec<PriceId>,
    /// The length of the trial in days; 0 for none.
    pub trial_days: u32,
    /// The attempt's state.
    pub status: AttemptStatus,
    /// The session in Stripe, once it exists.
    pub session: Option<OpenSession>,
}

impl Attempt {
    /// Returns whether both send the same request to Stripe, so that they can share a session.
    pub fn is_same_request(&self, other: &Self) -> bool {
        (&self.customer_id, &self.item, &self.price_id, &self.metered, self.trial_days)
            == (&other.customer_id, &other.item, &other.price_id, &other.metered, other.trial_days)
    }
}

struct AttemptRow {
    id: String,
    account_id: String,
    customer_id: String,
    kind: String,
    item: String,
    price_id: String,
    metered_prices: String,
    trial_days: i64,
    status: String,
    session_id: Option<String>,
    url: Option<String>,
}

columns!(AttemptRow {
    id,
    account_id,
    customer_id,
    kind,
    item,
    price_id,
    metered_prices,
    trial_days,
    status,
    session_id,
    url
});

impl AttemptRow {
    fn read(self) -> Result<Attempt, StoreError> {
        let at = RowRef { table: "checkout_attempt", row: &self.id };
        let session = self.session_id.map(CheckoutSessionId::new).zip(self.url);
        Ok(Attempt {
            status: AttemptStatus::parse(&self.status).ok_or_else(|| at.corrupt("status", &self.status))?,
            trial_days: u32::try_from(self.trial_days).map_err(|error| at.corrupt("trial_days", &error))?,
            item: CheckoutItem::parse(&self.kind, self.item).ok_or_else(|| at.corrupt("kind", &self.kind))?,
            session: session.map(|(id, url)| OpenSession { id, url }),
            account_id: AccountId::new(self.account_id),
            customer_id: CustomerId::new(self.customer_id),
            price_id: PriceId::new(self.price_id),
            metered: self.metered_prices.split_whitespace().map(PriceId::new).collect(),
            id: self.id,
        })
    }
}

/// Finds the account's open attempt that conflicts with one for `item`: for the same product, or for any
/// plan.
pub async fn open_for(tx: &mut Tx, account: &AccountId, item: &CheckoutItem) -> Result<Option<Attempt>, StoreError> {
    let row: Option<AttemptRow> = match item {
        CheckoutItem::Plan(_) => tx.fetch_optional(OPEN_PLAN, values![account.as_str()]).await?,
        CheckoutItem::Product(key) => tx.fetch_optional(OPEN_PRODUCT, values![account.as_str(), key]).await?,
    };
    row.map(AttemptRow::read).transpose()
}

/// Returns whether the account has an attempt that can still be paid.
pub async fn has_open(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional::<AttemptRow>(ALL_OPEN, values![account.as_str()]).await?.is_some())
}

/// Returns all attempts of the account that can still be paid.
pub async fn all_open(db: &Db, account: &AccountId) -> Result<Vec<Attempt>, StoreError> {
    let rows = db.fetch_all::<AttemptRow>(ALL_OPEN, values![account.as_str()]).await?;
    rows.into_iter().map(AttemptRow::read).collect()
}

/// Finds the attempt of a session.
pub async fn by_session(db: &Db, session: &CheckoutSessionId) -> Result<Option<Attempt>, StoreError> {
    let row = db.fetch_optional::<AttemptRow>(BY_SESSION, values![session.as_str()]).await?;
    row.map(AttemptRow::read).transpose()
}

/// One attempt.
pub async fn by_id(tx: &mut Tx, id: &str) -> Result<Option<Attempt>, StoreError> {
    tx.fetch_optional::<AttemptRow>(BY_ID, values![id]).await?.map(AttemptRow::read).transpose()
}

/// Stores a new attempt. An error if the account has a conflicting open one.
pub async fn insert(tx: &mut Tx, attempt: &Attempt, at: Timestamp) -> Result<(), StoreError> {
    let metered: Vec<&str> = attempt.metered.iter().map(PriceId::as_str).collect();
    let values = values![
        attempt.id.as_str(),
        attempt.account_id.as_str(),
        attempt.customer_id.as_str(),
        attempt.item.kind(),
        attempt.item.name(),
        attempt.price_id.as_str(),
        i64::from(attempt.trial_days),
        at.0,
        metered.join(" ")
    ];
    tx.execute(INSERT, values).await.map(drop)
}

/// Stores the session that Stripe created. `false` if the attempt has since been closed.
pub async fn set_open(tx: &mut Tx, attempt: &str, session: &OpenSession) -> Result<bool, StoreError> {
    Ok(tx.execute(SET_OPEN, values![attempt, session.id.as_str(), session.url.as_str()]).await? > 0)
}

/// Closes an open attempt.
pub async fn close(tx: &mut Tx, attempt: &str, status: AttemptStatus) -> Result<(), StoreError> {
    tx.execute(CLOSE, values![attempt, status.as_str()]).await.map(drop)
}

/// Closes the attempt of a session, unless it is already closed.
pub async fn close_session(tx: &mut Tx, session: &CheckoutSessionId, status: AttemptStatus) -> Result<(), StoreError> {
    tx.execute(CLOSE_BY_SESSION, values![session.as_str(), status.as_str()]).await.map(drop)
}
