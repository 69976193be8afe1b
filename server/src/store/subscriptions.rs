//! Subscriptions as Stripe last described them, and who has had a trial.

use billing::{AccountId, CustomerId, Item, Status, Subscription, SubscriptionId, Tier, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    OF_ACCOUNT = "SELECT id, customer_id, status, items, created, billing_cycle_anchor, cancel_at_period_end, cancel_at, \
        ended_at, trial_end, past_due_since, last_known_tier, version FROM subscription WHERE account_id = $1 \
        ORDER BY created DESC, id DESC";
    BY_ID = "SELECT id, customer_id, status, items, created, billing_cycle_anchor, cancel_at_period_end, cancel_at, \
        ended_at, trial_end, past_due_since, last_known_tier, version FROM subscription WHERE id = $1";
    INSERT = "INSERT INTO subscription (id, account_id, customer_id, status, items, created, billing_cycle_anchor, \
        cancel_at_period_end, cancel_at, ended_at, trial_end, past_due_since, last_known_tier, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1) ON CONFLICT (id) DO NOTHING";
    UPDATE = "UPDATE subscription SET account_id = $2, customer_id = $3, status = $4, items = $5, created = $6, \
        billing_cycle_anchor = $7, cancel_at_period_end = $8, cancel_at = $9, ended_at = $10, trial_end = $11, \
        past_due_since = $12, last_known_tier = $13, synced_at = $14, version = version + 1 \
        WHERE id = $1 AND version = $15";
    INSERT_REVISION = "INSERT INTO subscription_revision (subscription_id, version, account_id, snapshot, cause, written_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    AS_OF = "SELECT r.subscription_id, r.version, r.snapshot, r.cause, r.written_at FROM subscription_revision r \
        WHERE r.account_id = $1 AND r.version = (SELECT MAX(l.version) FROM subscription_revision l \
        WHERE l.subscription_id = r.subscription_id AND l.written_at <= $2) ORDER BY r.written_at DESC, r.subscription_id DESC";
    CLAIM_TRIAL = "INSERT INTO trial_claim (claim, subscription_id, claimed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    TRIAL_CLAIMED = "SELECT claim FROM trial_claim WHERE claim IN ($1, $2) LIMIT 1";
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    customer_id: String,
    status: String,
    items: String,
    created: i64,
    billing_cycle_anchor: i64,
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    ended_at: Option<i64>,
    trial_end: Option<i64>,
    past_due_since: Option<i64>,
    last_known_tier: Option<String>,
    version: i64,
}

impl Row {
    fn read(self) -> Result<Stored, StoreError> {
        let items: Vec<Item> = serde_json::from_str(&self.items).map_err(|error| StoreError::BadRow {
            table: "subscription",
            row: self.id.clone(),
            column: "items",
            what: error.to_string(),
        })?;
        Ok(Stored {
            version: self.version,
            subscription: Subscription {
                id: SubscriptionId::new(self.id),
                customer: CustomerId::new(self.customer_id),
                status: Status::from(self.status),
                items,
                created: Timestamp(self.created),
                billing_cycle_anchor: Timestamp(self.billing_cycle_anchor),
                cancel_at_period_end: self.cancel_at_period_end,
                cancel_at: self.cancel_at.map(Timestamp),
                ended_at: self.ended_at.map(Timestamp),
                trial_end: self.trial_end.map(Timestamp),
                past_due_since: self.past_due_since.map(Timestamp),
                last_known_tier: self.last_known_tier.map(Tier::new),
            },
        })
    }
}

/// A subscription with the number of times it was written.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As of the last write.
    pub subscription: Subscription,
    /// How many writes there were; what a writer must have seen to write next.
    pub version: i64,
}

/// All subscriptions of an account, newest first.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    query!(Db: db, fetch_all as Row, OF_ACCOUNT, account.as_str())?
        .into_iter()
        .map(|row| row.read().map(|stored| stored.subscription))
        .collect()
}

/// The same inside a transaction.
///
/// # Errors
/// As [`of_account`].
pub async fn of_account_in(tx: &mut Tx, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    query!(Tx: tx, fetch_all as Row, OF_ACCOUNT, account.as_str())?
        .into_iter()
        .map(|row| row.read().map(|stored| stored.subscription))
        .collect()
}

/// One subscription.
///
/// # Errors
/// As [`of_account`].
pub async fn by_id(db: &Db, id: &SubscriptionId) -> Result<Option<Stored>, StoreError> {
    query!(Db: db, fetch_optional as Row, BY_ID, id.as_str())?.map(Row::read).transpose()
}

/// Writes a subscription whole. `seen` is the version that was read before Stripe was asked,
/// `None` when there was no row; `cause` is what made us look. `false`: somebody else wrote in between, so their answer
/// from Stripe may be newer than this one; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    seen: Option<i64>,
    cause: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let unwritable = |column| {
        move |error: serde_json::Error| StoreError::BadRow {
            table: "subscription",
            row: subscription.id.to_string(),
            column,
            what: error.to_string(),
        }
    };
    let items = serde_json::to_string(&subscription.items).map_err(unwritable("items"))?;
    let snapshot = serde_json::to_string(subscription).map_err(unwritable("snapshot"))?;
    macro_rules! write {
        ($sql:expr $(, $version:expr)?) => {
            query!(Tx: &mut *tx, execute, $sql, subscription.id.as_str(), account.as_str(), subscription.customer.as_str(),
                subscription.status.as_str(), items.as_str(), subscription.created.0, subscription.billing_cycle_anchor.0,
                subscription.cancel_at_period_end, subscription.cancel_at.map(|at| at.0),
                subscription.ended_at.map(|at| at.0), subscription.trial_end.map(|at| at.0),
                subscription.past_due_since.map(|at| at.0), subscription.last_known_tier.as_ref().map(Tier::as_str),
                at.0 $(, $version)?)
        };
    }
    let written = match seen {
        None => write!(INSERT)?,
        Some(version) => write!(UPDATE, version)?,
    };
    if written == 0 {
        return Ok(false);
    }
    let version = seen.unwrap_or_default() + 1;
    query!(Tx: tx, execute, INSERT_REVISION, subscription.id.as_str(), version, account.as_str(), snapshot, cause, at.0)?;
    Ok(true)
}

/// A subscription as it was after one write.
#[derive(Clone, Debug)]
pub struct Revision {
    /// As it was.
    pub subscription: Subscription,
    /// The how manieth write it was.
    pub version: i64,
    /// What made us look.
    pub cause: String,
    /// When it was written.
    pub written_at: Timestamp,
}

/// What was known at `at` of every subscription that the account had by then, latest write first.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn as_of(db: &Db, account: &AccountId, at: Timestamp) -> Result<Vec<Revision>, StoreError> {
    let rows = query!(Db: db, fetch_all as (String, i64, String, String, i64), AS_OF, account.as_str(), at.0)?;
    rows.into_iter()
        .map(|(id, version, snapshot, cause, written_at)| {
            let subscription = serde_json::from_str(&snapshot).map_err(|error| StoreError::BadRow {
                table: "subscription_revision",
                row: format!("{id}, {version}"),
                column: "snapshot",
                what: error.to_string(),
            })?;
            Ok(Revision { subscription, version, cause, written_at: Timestamp(written_at) })
        })
        .collect()
}

/// Remembers that an account, and the person behind it, has had a trial.
///
/// # Errors
/// The database failed.
pub async fn claim_trial(
    tx: &mut Tx,
    account: &AccountId,
    canonical_email: Option<&str>,
    subscription: &SubscriptionId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let claims = [Some(account_claim(account)), canonical_email.map(email_claim)];
    for claim in claims.into_iter().flatten() {
        query!(Tx: &mut *tx, execute, CLAIM_TRIAL, claim, subscription.as_str(), at.0)?;
    }
    Ok(())
}

/// Whether the account, or anybody with the same canonical address, has had a trial.
///
/// # Errors
/// The database failed.
pub async fn trial_claimed(db: &Db, account: &AccountId, canonical_email: &str) -> Result<bool, StoreError> {
    let found = query!(Db: db, fetch_optional as (String,), TRIAL_CLAIMED, account_claim(account), email_claim(canonical_email))?;
    Ok(found.is_some())
}

fn account_claim(account: &AccountId) -> String {
    format!("account:{account}")
}

fn email_claim(canonical_email: &str) -> String {
    format!("email:{canonical_email}")
}
