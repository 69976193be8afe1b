//! Purchases that somebody set out on: one open attempt per account at a time.

use billing::{AccountId, CheckoutSessionId, PriceId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    OPEN_OF = "SELECT id, account_id, purchase, price_id, trial_days, status, session_id, url FROM checkout_attempt \
        WHERE account_id = $1 AND kind = 'subscription' AND status IN ('creating', 'open')";
    BY_SESSION = "SELECT id, account_id, purchase, price_id, trial_days, status, session_id, url FROM checkout_attempt \
        WHERE session_id = $1";
    INSERT_ATTEMPT = "INSERT INTO checkout_attempt (id, account_id, kind, purchase, price_id, trial_days, status, created_at) \
        VALUES ($1, $2, 'subscription', $3, $4, $5, 'creating', $6)";
    SET_OPEN = "UPDATE checkout_attempt SET status = 'open', session_id = $2, url = $3 \
        WHERE id = $1 AND status IN ('creating', 'open')";
    SET_STATUS = "UPDATE checkout_attempt SET status = $2 WHERE id = $1 AND status IN ('creating', 'open')";
    SET_STATUS_BY_SESSION = "UPDATE checkout_attempt SET status = $2 \
        WHERE session_id = $1 AND status IN ('creating', 'open', 'superseded')";
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
    /// Who pays.
    pub account_id: AccountId,
    /// What: plan and interval, such as `PRO/month`.
    pub purchase: String,
    /// Stripe's price.
    pub price_id: PriceId,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Where it stands.
    pub status: AttemptStatus,
    /// Stripe's session, once there is one.
    pub session: Option<(CheckoutSessionId, String)>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    purchase: String,
    price_id: String,
    trial_days: i64,
    status: String,
    session_id: Option<String>,
    url: Option<String>,
}

impl Row {
    fn read(self) -> Result<Attempt, StoreError> {
        let bad = |column, what: &str| StoreError::BadRow {
            table: "checkout_attempt",
            row: self.id.clone(),
            column,
            what: what.to_owned(),
        };
        Ok(Attempt {
            status: AttemptStatus::parse(&self.status).ok_or_else(|| bad("status", &self.status))?,
            trial_days: u32::try_from(self.trial_days).map_err(|_| bad("trial_days", "out of range"))?,
            session: self.session_id.clone().map(CheckoutSessionId::new).zip(self.url.clone()),
            account_id: AccountId::new(self.account_id),
            purchase: self.purchase,
            price_id: PriceId::new(self.price_id),
            id: self.id,
        })
    }
}

/// The attempt of the account that is neither paid nor given up.
///
/// # Errors
/// The database failed.
pub async fn open_of(tx: &mut Tx, account: &AccountId) -> Result<Option<Attempt>, StoreError> {
    query!(Tx: tx, fetch_optional as Row, OPEN_OF, account.as_str())?.map(Row::read).transpose()
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
/// The database failed, or the account has an open one.
pub async fn insert(tx: &mut Tx, attempt: &Attempt, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, INSERT_ATTEMPT, attempt.id.as_str(), attempt.account_id.as_str(), attempt.purchase.as_str(),
        attempt.price_id.as_str(), i64::from(attempt.trial_days), at.0)
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
