//! Purchases that somebody set out on: one open attempt per plan or product at a time.

use billing::{AccountId, CheckoutSessionId, CustomerId, PriceId, Timestamp};

use super::At;
use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    OPEN_PLAN_OF = "SELECT * FROM checkout_attempt \
        WHERE account_id = $1 AND kind = 'subscription' AND status IN ('creating', 'open')";
    OPEN_PRODUCT_OF = "SELECT * FROM checkout_attempt \
        WHERE account_id = $1 AND kind = 'product' AND purchase = $2 AND status IN ('creating', 'open')";
    ALL_OPEN_OF = "SELECT * FROM checkout_attempt WHERE account_id = $1 AND status IN ('creating', 'open')";
    BY_SESSION = "SELECT * FROM checkout_attempt WHERE session_id = $1";
    INSERT_ATTEMPT = "INSERT INTO checkout_attempt (id, account_id, customer_id, kind, purchase, price_id, trial_days, status, created_at, metered_prices) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'creating', $8, $9)";
    SET_OPEN = "UPDATE checkout_attempt SET status = 'open', session_id = $2, url = $3 \
        WHERE id = $1 AND status IN ('creating', 'open')";
    SET_STATUS = "UPDATE checkout_attempt SET status = $2 WHERE id = $1 AND status IN ('creating', 'open')";
    SET_STATUS_BY_SESSION = "UPDATE checkout_attempt SET status = $2 \
        WHERE session_id = $1 AND status IN ('creating', 'open', 'superseded')";
}

/// What somebody set out to buy. At most one of each is open at a time, and one plan at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A plan at an interval, such as `PRO/month`.
    Plan(String),
    /// A product, by its key.
    Product(String),
}

impl Wanted {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Plan(_) => "subscription",
            Self::Product(_) => "product",
        }
    }

    /// Plan and interval, or the product's key.
    pub fn name(&self) -> &str {
        match self {
            Self::Plan(name) | Self::Product(name) => name,
        }
    }
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStatus {
    /// Stripe is being asked for a session, or was when somebody stopped waiting.
    Creating,
    /// There is a session to be paid.
    Open,
    /// It was paid.
    Complete,
    /// Its session ran out.
    Expired,
    /// Another purchase took its place.
    Superseded,
    /// Stripe refused to make a session.
    Failed,
}

impl AttemptStatus {
    /// The word in the database.
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

    fn parse(word: &str) -> Option<Self> {
        [Self::Creating, Self::Open, Self::Complete, Self::Expired, Self::Superseded, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// One purchase that somebody set out on.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id, which is the idempotency key at Stripe.
    pub id: String,
    /// Who buys.
    pub account_id: AccountId,
    /// Who pays, at Stripe.
    pub customer_id: CustomerId,
    /// What.
    pub wanted: Wanted,
    /// Stripe's price.
    pub price_id: PriceId,
    /// Stripe's prices of what is used beyond the plan.
    pub metered: Vec<PriceId>,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Where it stands.
    pub status: AttemptStatus,
    /// Stripe's session, once there is one.
    pub session: Option<(CheckoutSessionId, String)>,
}

impl Attempt {
    /// Whether Stripe is asked the same for both, so that the session of one will do for the other.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        (&self.customer_id, &self.wanted, &self.price_id, &self.metered, self.trial_days)
            == (&other.customer_id, &other.wanted, &other.price_id, &other.metered, other.trial_days)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    customer_id: String,
    kind: String,
    purchase: String,
    price_id: String,
    metered_prices: String,
    trial_days: i64,
    status: String,
    session_id: Option<String>,
    url: Option<String>,
}

impl Row {
    fn read(self) -> Result<Attempt, StoreError> {
        let at = At { table: "checkout_attempt", row: &self.id };
        Ok(Attempt {
            status: AttemptStatus::parse(&self.status).ok_or_else(|| at.bad("status", &self.status))?,
            trial_days: u32::try_from(self.trial_days).map_err(|error| at.bad("trial_days", &error))?,
            wanted: match self.kind.as_str() {
                "product" => Wanted::Product(self.purchase),
                _ => Wanted::Plan(self.purchase),
            },
            session: self.session_id.map(CheckoutSessionId::new).zip(self.url),
            account_id: AccountId::new(self.account_id),
            customer_id: CustomerId::new(self.customer_id),
            price_id: PriceId::new(self.price_id),
            metered: self.metered_prices.split_whitespace().map(PriceId::new).collect(),
            id: self.id,
        })
    }
}

/// The attempt of the account that stands where one at `wanted` would: for the same product, or
/// for whatever plan.
///
/// # Errors
/// The database failed.
pub async fn open_of(tx: &mut Tx, account: &AccountId, wanted: &Wanted) -> Result<Option<Attempt>, StoreError> {
    let row = match wanted {
        Wanted::Plan(_) => query!(Tx: tx, fetch_optional as Row, OPEN_PLAN_OF, account.as_str())?,
        Wanted::Product(key) => query!(Tx: tx, fetch_optional as Row, OPEN_PRODUCT_OF, account.as_str(), key.as_str())?,
    };
    row.map(Row::read).transpose()
}

/// Whether anything could still be bought for the account.
///
/// # Errors
/// The database failed.
pub async fn has_open(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    Ok(!query!(Tx: tx, fetch_all as Row, ALL_OPEN_OF, account.as_str())?.is_empty())
}

/// All attempts of the account that are neither paid nor given up.
///
/// # Errors
/// The database failed.
pub async fn all_open_of(db: &Db, account: &AccountId) -> Result<Vec<Attempt>, StoreError> {
    query!(Db: db, fetch_all as Row, ALL_OPEN_OF, account.as_str())?.into_iter().map(Row::read).collect()
}

/// The attempt that a session belongs to.
///
/// # Errors
/// The database failed.
pub async fn by_session(db: &Db, session: &CheckoutSessionId) -> Result<Option<Attempt>, StoreError> {
    query!(Db: db, fetch_optional as Row, BY_SESSION, session.as_str())?.map(Row::read).transpose()
}

/// Writes down a new attempt.
///
/// # Errors
/// The database failed, or the account has an open one in its place.
pub async fn insert(tx: &mut Tx, attempt: &Attempt, at: Timestamp) -> Result<(), StoreError> {
    let metered: Vec<&str> = attempt.metered.iter().map(PriceId::as_str).collect();
    query!(Tx: tx, execute, INSERT_ATTEMPT, attempt.id.as_str(), attempt.account_id.as_str(), attempt.customer_id.as_str(),
        attempt.wanted.kind(), attempt.wanted.name(), attempt.price_id.as_str(), i64::from(attempt.trial_days), at.0,
        metered.join(" "))
    .map(drop)
}

/// Writes down the session that Stripe made. `false` when the attempt was given up meanwhile.
///
/// # Errors
/// The database failed.
pub async fn set_open(tx: &mut Tx, attempt: &str, session: &CheckoutSessionId, url: &str) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, SET_OPEN, attempt, session.as_str(), url).map(|changed| changed > 0)
}

/// Closes an open attempt.
///
/// # Errors
/// The database failed.
pub async fn close(tx: &mut Tx, attempt: &str, status: AttemptStatus) -> Result<(), StoreError> {
    query!(Tx: tx, execute, SET_STATUS, attempt, status.as_str()).map(drop)
}

/// Closes the attempt of a session, if there is one and it is not closed.
///
/// # Errors
/// The database failed.
pub async fn close_session(tx: &mut Tx, session: &CheckoutSessionId, status: AttemptStatus) -> Result<(), StoreError> {
    query!(Tx: tx, execute, SET_STATUS_BY_SESSION, session.as_str(), status.as_str()).map(drop)
}
