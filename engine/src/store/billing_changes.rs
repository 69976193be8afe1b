//! Changes to be delivered to the host, in order per account.
//!
//! A row is written in the transaction that writes the subscription's revision. Only the oldest pending
//! change of an account is ever delivered, under a lease, so that the host receives an account's
//! changes one after the other (`tests/store/billing_changes.rs`).

use billing::{AccountId, Subscription, SubscriptionId, Timestamp};

use super::row::{COUNTED, RowRef};
use super::{Cursor, Db, StoreError, Tx, accounts, columns, statements, values};

/// A change with its revision and the previous one.
macro_rules! changes {
    ($condition:literal) => {
        concat!(
            "SELECT b.account_id, b.number, b.subscription_id, b.version, b.state, b.attempts, b.last_error, b.created_at, \
            n.snapshot AS after_snapshot, n.cause, o.snapshot AS before_snapshot FROM billing_change b \
            JOIN subscription_revision n ON n.subscription_id = b.subscription_id AND n.version = b.version \
            LEFT JOIN subscription_revision o ON o.subscription_id = b.subscription_id AND o.version = (SELECT MAX(p.version) \
            FROM subscription_revision p WHERE p.subscription_id = b.subscription_id AND p.version < b.version) ",
            $condition
        )
    };
}

statements! {
    INSERT = "INSERT INTO billing_change (account_id, number, subscription_id, version, state, next_attempt_at, created_at) \
        VALUES ($1, $2, $3, $4, 'pending', $5, $5)";
    DUE = "SELECT b.account_id, b.number FROM billing_change b WHERE b.state = 'pending' AND b.next_attempt_at <= $1 \
        AND (b.lease_until IS NULL OR b.lease_until <= $1) AND NOT EXISTS (SELECT 1 FROM billing_change e \
        WHERE e.account_id = b.account_id AND e.number < b.number AND e.state = 'pending') \
        ORDER BY b.next_attempt_at, b.account_id LIMIT $2";
    CLAIM = "UPDATE billing_change SET lease_owner = $3, lease_until = $5, attempts = attempts + 1 \
        WHERE account_id = $1 AND number = $2 AND state = 'pending' AND next_attempt_at <= $4 \
        AND (lease_until IS NULL OR lease_until <= $4)";
    BY_NUMBER = changes!("WHERE b.account_id = $1 AND b.number = $2");
    DELIVERED = "UPDATE billing_change SET state = 'delivered', settled_at = $4, last_error = NULL, lease_owner = NULL, lease_until = NULL \
        WHERE account_id = $1 AND number = $2 AND lease_owner = $3 AND state = 'pending'";
    RESCHEDULE = "UPDATE billing_change SET next_attempt_at = $4, last_error = $5, lease_owner = NULL, lease_until = NULL \
        WHERE account_id = $1 AND number = $2 AND lease_owner = $3 AND state = 'pending'";
    RETRY = "UPDATE billing_change SET next_attempt_at = $3 WHERE account_id = $1 AND number = $2 AND state = 'pending'";
    SKIP = "UPDATE billing_change SET state = 'skipped', settled_at = $3, lease_owner = NULL, lease_until = NULL \
        WHERE account_id = $1 AND number = $2 AND state = 'pending'";
    LIST = changes!("WHERE (b.created_at, b.account_id, b.number) < ($1, $2, $3) \
        ORDER BY b.created_at DESC, b.account_id DESC, b.number DESC LIMIT $4");
    LIST_OF_STATE = changes!("WHERE b.state = $5 AND (b.created_at, b.account_id, b.number) < ($1, $2, $3) \
        ORDER BY b.created_at DESC, b.account_id DESC, b.number DESC LIMIT $4");
    LIST_OF_ACCOUNT = changes!("WHERE b.account_id = $6 AND ($5 = '' OR b.state = $5) \
        AND (b.created_at, b.account_id, b.number) < ($1, $2, $3) \
        ORDER BY b.created_at DESC, b.account_id DESC, b.number DESC LIMIT $4");
    FAILING = "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM billing_change WHERE state = 'pending' AND last_error IS NOT NULL \
        LIMIT $1) AS counted), \
        (SELECT MIN(created_at) FROM billing_change WHERE state = 'pending' AND last_error IS NOT NULL)";
    PRUNE = "DELETE FROM billing_change WHERE (account_id, number) IN \
        (SELECT account_id, number FROM billing_change WHERE state <> 'pending' AND settled_at < $1 LIMIT $2)";
}

/// The delivery state of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeState {
    /// To be delivered.
    Pending,
    /// The host has accepted it.
    Delivered,
    /// An operator decided not to deliver it.
    Skipped,
}

impl ChangeState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Skipped];

    /// Returns the text stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the text stored in the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A change with its delivery state.
#[derive(Clone, Debug)]
pub struct StoredChange {
    /// The account whose subscription changed.
    pub account: AccountId,
    /// The change's sequence number within the account, starting at 1.
    pub number: i64,
    /// The revision.
    pub version: i64,
    /// The subscription before; `None` for a new one.
    pub before: Option<Subscription>,
    /// The subscription as it is after the change.
    pub after: Subscription,
    /// The reason for the request to Stripe: event ids, or text such as `reconcile`.
    pub cause: String,
    /// The delivery state.
    pub state: ChangeState,
    /// The number of delivery attempts so far.
    pub attempts: i64,
    /// The error of the last delivery attempt.
    pub last_error: Option<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
}

struct ChangeRow {
    account_id: String,
    number: i64,
    subscription_id: String,
    version: i64,
    state: String,
    attempts: i64,
    last_error: Option<String>,
    created_at: i64,
    after_snapshot: String,
    cause: String,
    before_snapshot: Option<String>,
}

columns!(ChangeRow {
    account_id,
    number,
    subscription_id,
    version,
    state,
    attempts,
    last_error,
    created_at,
    after_snapshot,
    cause,
    before_snapshot
});

impl ChangeRow {
    fn read(self) -> Result<StoredChange, StoreError> {
        let key = format!("{}, {}", self.account_id, self.number);
        let at = RowRef { table: "billing_change", row: &key };
        let revision = RowRef { table: "subscription_revision", row: &self.subscription_id };
        let before = self.before_snapshot.as_deref().map(|json| revision.read_json("snapshot", json));
        Ok(StoredChange {
            state: ChangeState::parse(&self.state).ok_or_else(|| at.corrupt("state", &self.state))?,
            before: before.transpose()?,
            after: revision.read_json("snapshot", &self.after_snapshot)?,
            account: AccountId::new(self.account_id),
            number: self.number,
            version: self.version,
            cause: self.cause,
            attempts: self.attempts,
            last_error: self.last_error,
            created_at: Timestamp(self.created_at),
        })
    }
}

/// Records a subscription's new revision, in the transaction that writes it.
pub(super) async fn record(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &SubscriptionId,
    version: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let number = accounts::next_change(tx, account).await?;
    tx.execute(INSERT, values![account.as_str(), number, subscription.as_str(), version, at.0]).await.map(drop)
}

/// Leases the oldest pending change of up to `limit` accounts until `until`.
pub async fn claim(
    db: &Db,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<StoredChange>, StoreError> {
    let mut claimed = Vec::new();
    for (account, number) in db.fetch_all::<(String, i64)>(DUE, values![now.0, limit]).await? {
        let mut tx = db.begin().await?;
        let is_ours = tx.execute(CLAIM, values![account.as_str(), number, owner, now.0, until.0]).await? > 0;
        let row = tx.fetch_optional::<ChangeRow>(BY_NUMBER, values![account.as_str(), number]).await?;
        tx.commit().await?;
        match row.filter(|_| is_ours).map(ChangeRow::read) {
            Some(Ok(change)) => claimed.push(change),
            // It blocks only its own account's changes.
            Some(Err(error)) => tracing::error!(%error, account, number, "cannot read a billing change"),
            None => {}
        }
    }
    Ok(claimed)
}

/// Marks a change that `owner` holds as accepted by the host.
pub async fn delivered(tx: &mut Tx, change: &StoredChange, owner: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(DELIVERED, values![change.account.as_str(), change.number, owner, at.0]).await.map(drop)
}

/// Reschedules the delivery of a change that `owner` holds for `next`.
pub async fn reschedule(
    tx: &mut Tx,
    change: &StoredChange,
    owner: &str,
    next: Timestamp,
    error: &str,
) -> Result<(), StoreError> {
    tx.execute(RESCHEDULE, values![change.account.as_str(), change.number, owner, next.0, error]).await.map(drop)
}

/// Makes a pending change due now. `false` if there is none.
pub async fn retry(tx: &mut Tx, account: &AccountId, number: i64, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(RETRY, values![account.as_str(), number, now.0]).await? > 0)
}

/// Skips a pending change, so that the account's next one is delivered. `false` if there is none.
pub async fn skip(tx: &mut Tx, account: &AccountId, number: i64, at: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(SKIP, values![account.as_str(), number, at.0]).await? > 0)
}

/// The filter of a list of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Only those in this state.
    pub state: Option<ChangeState>,
    /// Only those of this account.
    pub account: Option<AccountId>,
}

/// Reads a page of the changes that match a filter, newest first.
pub async fn list(db: &Db, filter: &ChangeFilter, after: &Cursor, limit: i64) -> Result<Vec<StoredChange>, StoreError> {
    let (last, number) = position(&after.key);
    let mut values = values![after.at.0, last, number, limit];
    let statement = match (&filter.account, filter.state) {
        (None, None) => LIST,
        (None, Some(state)) => {
            values.push(state.as_str().into());
            LIST_OF_STATE
        }
        (Some(account), state) => {
            values.extend(values![state.map_or("", ChangeState::as_str), account.as_str()]);
            LIST_OF_ACCOUNT
        }
    };
    let rows = db.fetch_all::<ChangeRow>(statement, values).await?;
    rows.into_iter().map(ChangeRow::read).collect()
}

/// Returns the cursor of the page after this change.
pub fn cursor(change: &StoredChange) -> Cursor {
    Cursor { at: change.created_at, key: format!("{}.{}", change.account, change.number) }
}

/// Returns the account and number in a cursor's key. An invalid key sorts before every change of its time.
fn position(key: &str) -> (&str, i64) {
    let position = key.rsplit_once('.').and_then(|(account, number)| Some((account, number.parse().ok()?)));
    position.unwrap_or_default()
}

/// Pending changes that have failed at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Their number, up to [`COUNTED`] and one more.
    pub count: i64,
    /// When the oldest was recorded.
    pub oldest: Option<Timestamp>,
}

/// Counts the pending changes that have failed at least once.
pub async fn failing(db: &Db) -> Result<Failing, StoreError> {
    let (count, oldest) = db.fetch_one::<(i64, Option<i64>)>(FAILING, values![COUNTED + 1]).await?;
    Ok(Failing { count, oldest: oldest.map(Timestamp) })
}

/// Deletes up to `limit` changes that were settled before `before`, and returns their number.
pub async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(PRUNE, values![before.0, limit]).await
}
