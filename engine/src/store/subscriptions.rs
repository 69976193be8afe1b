//! Subscriptions as Stripe last described them, and their revisions.

use std::collections::HashMap;

use billing::ledger::ReversalKind;
use billing::{
    AccountId, CustomerId, Item, PaidPlan, Pause, PauseBehavior, PauseReason, Status, Subscription, SubscriptionId,
    Tier, Timestamp,
};

use super::list::{ListQuery, list, list_query};
use super::row::{COUNTED, RowRef};
use super::{Db, StoreError, Stored, Tx, billing_changes, columns, statements, values};

const OF_ACCOUNTS: ListQuery =
    list_query!("SELECT * FROM subscription WHERE account_id IN", "ORDER BY created DESC, id DESC");
const BY_IDS: ListQuery = list_query!("SELECT * FROM subscription WHERE id IN", "");

/// The statements with a list parameter, by name.
pub(super) const LISTS: &[(&str, ListQuery)] = &[("OF_ACCOUNTS", OF_ACCOUNTS), ("BY_IDS", BY_IDS)];

statements! {
    OF_ACCOUNT = "SELECT * FROM subscription WHERE account_id = $1 ORDER BY created DESC, id DESC";
    RUNNING = "SELECT id FROM subscription WHERE status NOT IN ('canceled', 'incomplete_expired') AND id > $1 ORDER BY id LIMIT $2";
    BY_ID = "SELECT * FROM subscription WHERE id = $1";
    // Inserts version 1 if there is no row; otherwise updates the row if its version is the one that was read.
    WRITE = "INSERT INTO subscription (id, account_id, customer_id, status, items, created, billing_cycle_anchor, \
        cancel_at_period_end, cancel_at, ended_at, trial_end, pause_behavior, pause_resumes_at, paused_reason, paid_tier, \
        paid_until, reversals, is_disputed, is_reversed, past_due_since, last_known_tier, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, 1) \
        ON CONFLICT (id) DO UPDATE SET \
        account_id = excluded.account_id, customer_id = excluded.customer_id, status = excluded.status, \
        items = excluded.items, created = excluded.created, billing_cycle_anchor = excluded.billing_cycle_anchor, \
        cancel_at_period_end = excluded.cancel_at_period_end, cancel_at = excluded.cancel_at, ended_at = excluded.ended_at, \
        trial_end = excluded.trial_end, pause_behavior = excluded.pause_behavior, pause_resumes_at = excluded.pause_resumes_at, \
        paused_reason = excluded.paused_reason, paid_tier = excluded.paid_tier, paid_until = excluded.paid_until, \
        reversals = excluded.reversals, is_disputed = excluded.is_disputed, is_reversed = excluded.is_reversed, \
        past_due_since = excluded.past_due_since, last_known_tier = excluded.last_known_tier, synced_at = excluded.synced_at, \
        version = subscription.version + 1 WHERE subscription.version = $23 RETURNING version";
    COUNT_DISPUTED = "SELECT COUNT(*) FROM (SELECT 1 FROM subscription WHERE is_disputed LIMIT $1) AS counted";
    COUNT_REVERSED = "SELECT COUNT(*) FROM (SELECT 1 FROM subscription WHERE is_reversed LIMIT $1) AS counted";
    FLAGGED = "SELECT * FROM subscription WHERE is_disputed UNION SELECT * FROM subscription WHERE is_reversed ORDER BY id";
    INSERT_REVISION = "INSERT INTO subscription_revision (subscription_id, version, account_id, snapshot, cause, written_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    AS_OF = "SELECT r.subscription_id, r.version, r.snapshot, r.cause, r.written_at FROM subscription_revision r \
        WHERE r.account_id = $1 AND r.version = (SELECT MAX(l.version) FROM subscription_revision l \
        WHERE l.subscription_id = r.subscription_id AND l.written_at <= $2) ORDER BY r.written_at DESC, r.subscription_id DESC";
}

struct SubscriptionRow {
    id: String,
    account_id: String,
    customer_id: String,
    status: String,
    items: String,
    created: i64,
    billing_cycle_anchor: i64,
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    ended_at: Option<i64>,
    trial_end: Option<i64>,
    pause_behavior: Option<String>,
    pause_resumes_at: Option<i64>,
    paused_reason: Option<String>,
    paid_tier: Option<String>,
    paid_until: Option<i64>,
    reversals: String,
    past_due_since: Option<i64>,
    last_known_tier: Option<String>,
    version: i64,
}

columns!(SubscriptionRow {
    id,
    account_id,
    customer_id,
    status,
    items,
    created,
    billing_cycle_anchor,
    cancel_at_period_end,
    cancel_at,
    ended_at,
    trial_end,
    pause_behavior,
    pause_resumes_at,
    paused_reason,
    paid_tier,
    paid_until,
    reversals,
    past_due_since,
    last_known_tier,
    version
});

impl SubscriptionRow {
    fn read_alone(self) -> (SubscriptionId, Result<Stored<Subscription>, StoreError>) {
        (SubscriptionId::new(&self.id), self.read())
    }

    fn read(self) -> Result<Stored<Subscription>, StoreError> {
        let at = RowRef { table: "subscription", row: &self.id };
        let items: Vec<Item> = at.read_json("items", &self.items)?;
        let reversals = at.read_json("reversals", &self.reversals)?;
        Ok(Stored {
            account: AccountId::new(self.account_id),
            version: self.version,
            object: Subscription {
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
                pause: self.pause_behavior.map(|behavior| Pause {
                    behavior: PauseBehavior::from(behavior),
                    resumes_at: self.pause_resumes_at.map(Timestamp),
                }),
                paused: self.paused_reason.map(PauseReason::from),
                paid: self
                    .paid_tier
                    .zip(self.paid_until)
                    .map(|(tier, until)| PaidPlan { tier: Tier::new(tier), until: Timestamp(until) }),
                reversals,
                past_due_since: self.past_due_since.map(Timestamp),
                last_known_tier: self.last_known_tier.map(Tier::new),
            },
        })
    }
}

/// Returns all subscriptions of an account, newest first.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    objects(db.fetch_all(OF_ACCOUNT, values![account.as_str()]).await?)
}

/// Does the same inside a transaction.
pub async fn of_account_in(tx: &mut Tx, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    objects(tx.fetch_all(OF_ACCOUNT, values![account.as_str()]).await?)
}

fn objects(rows: Vec<SubscriptionRow>) -> Result<Vec<Subscription>, StoreError> {
    rows.into_iter().map(|row| row.read().map(|stored| stored.object)).collect()
}

/// Returns all subscriptions of these accounts, newest first.
pub async fn of_accounts(db: &Db, accounts: &[&str]) -> Result<Vec<Stored<Subscription>>, StoreError> {
    let rows = db.fetch_all::<SubscriptionRow>(OF_ACCOUNTS.on(db), values![list(accounts)]).await?;
    rows.into_iter().map(SubscriptionRow::read).collect()
}

/// Reads those of these subscriptions that are stored, by id. A row that cannot be read is an error in
/// its own entry and does not affect the others.
pub async fn by_ids(
    db: &Db,
    ids: &[&str],
) -> Result<HashMap<SubscriptionId, Result<Stored<Subscription>, StoreError>>, StoreError> {
    let rows = db.fetch_all::<SubscriptionRow>(BY_IDS.on(db), values![list(ids)]).await?;
    Ok(rows.into_iter().map(SubscriptionRow::read_alone).collect())
}

/// Returns up to `limit` of the subscriptions that have not ended, as stored, by id after this one.
pub async fn running(db: &Db, after: &str, limit: i64) -> Result<Vec<SubscriptionId>, StoreError> {
    let rows = db.fetch_all::<(String,)>(RUNNING, values![after, limit]).await?;
    Ok(rows.into_iter().map(|(id,)| SubscriptionId::new(id)).collect())
}

/// Returns the number of subscriptions with a payment whose dispute is open, up to
/// [`COUNTED`] and one more.
pub async fn count_disputed(db: &Db) -> Result<i64, StoreError> {
    let (count,) = db.fetch_one::<(i64,)>(COUNT_DISPUTED, values![COUNTED + 1]).await?;
    Ok(count)
}

/// Returns the number of subscriptions whose payment for the current period was lost in a dispute or refunded
/// in full, up to [`COUNTED`] and one more.
pub async fn count_reversed(db: &Db) -> Result<i64, StoreError> {
    let (count,) = db.fetch_one::<(i64,)>(COUNT_REVERSED, values![COUNTED + 1]).await?;
    Ok(count)
}

/// Reads the subscriptions with [`Subscription::flagged_reversals`], by id. A row that cannot be read does not
/// affect the others.
pub async fn with_flagged_reversals(
    db: &Db,
) -> Result<Vec<(SubscriptionId, Result<Stored<Subscription>, StoreError>)>, StoreError> {
    let rows = db.fetch_all::<SubscriptionRow>(FLAGGED, values![]).await?;
    Ok(rows.into_iter().map(SubscriptionRow::read_alone).collect())
}

/// Finds a subscription.
pub async fn by_id(db: &Db, id: &SubscriptionId) -> Result<Option<Stored<Subscription>>, StoreError> {
    let row = db.fetch_optional::<SubscriptionRow>(BY_ID, values![id.as_str()]).await?;
    row.map(SubscriptionRow::read).transpose()
}

/// Writes a subscription and, if it has changed, a revision with the billing change for the host. `seen`
/// is the row read before the request to Stripe, `None` if there was none; `cause` is the reason for the
/// request. `false` if another process wrote in between, perhaps a newer response: fetch again.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    seen: Option<&Stored<Subscription>>,
    cause: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = RowRef { table: "subscription", row: subscription.id.as_str() };
    let pause = subscription.pause.as_ref();
    let seen_version = seen.map_or(0, |seen| seen.version);
    let values = values![
        subscription.id.as_str(),
        account.as_str(),
        subscription.customer.as_str(),
        subscription.status.as_str(),
        row.to_json("items", &subscription.items)?,
        subscription.created.0,
        subscription.billing_cycle_anchor.0,
        subscription.cancel_at_period_end,
        subscription.cancel_at.map(|at| at.0),
        subscription.ended_at.map(|at| at.0),
        subscription.trial_end.map(|at| at.0),
        pause.map(|pause| pause.behavior.as_str()),
        pause.and_then(|pause| pause.resumes_at).map(|at| at.0),
        subscription.paused.as_ref().map(PauseReason::as_str),
        subscription.paid.as_ref().map(|paid| paid.tier.as_str()),
        subscription.paid.as_ref().map(|paid| paid.until.0),
        row.to_json("reversals", &subscription.reversals)?,
        subscription.is_disputed(),
        subscription.flagged_reversals().iter().any(|kind| *kind != ReversalKind::Disputed),
        subscription.past_due_since.map(|at| at.0),
        subscription.last_known_tier.as_ref().map(Tier::as_str),
        at.0,
        seen_version
    ];
    let Some((version,)) = tx.fetch_optional::<(i64,)>(WRITE, values).await? else { return Ok(false) };
    if seen.is_none_or(|seen| seen.object != *subscription || seen.account != *account) {
        let snapshot = row.to_json("snapshot", subscription)?;
        tx.execute(
            INSERT_REVISION,
            values![subscription.id.as_str(), version, account.as_str(), snapshot, cause, at.0],
        )
        .await?;
        billing_changes::record(tx, account, &subscription.id, version, at).await?;
    }
    Ok(true)
}

/// A subscription after one write.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The subscription as it was written.
    pub subscription: Subscription,
    /// The revision number, starting at 1.
    pub version: i64,
    /// The reason for the request to Stripe.
    pub cause: String,
    /// When it was written.
    pub written_at: Timestamp,
}

struct RevisionRow {
    subscription_id: String,
    version: i64,
    snapshot: String,
    cause: String,
    written_at: i64,
}

columns!(RevisionRow { subscription_id, version, snapshot, cause, written_at });

impl RevisionRow {
    fn read(self) -> Result<Revision, StoreError> {
        let key = format!("{}, {}", self.subscription_id, self.version);
        let row = RowRef { table: "subscription_revision", row: &key };
        Ok(Revision {
            subscription: row.read_json("snapshot", &self.snapshot)?,
            version: self.version,
            cause: self.cause,
            written_at: Timestamp(self.written_at),
        })
    }
}

/// Reads every subscription of the account as stored at `at`, the latest write first.
pub async fn as_of(db: &Db, account: &AccountId, at: Timestamp) -> Result<Vec<Revision>, StoreError> {
    let rows = db.fetch_all::<RevisionRow>(AS_OF, values![account.as_str(), at.0]).await?;
    rows.into_iter().map(RevisionRow::read).collect()
}
