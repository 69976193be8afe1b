//! Subscriptions as Stripe last described them, and who has had a trial.

use std::collections::HashMap;

use billing::{
    AccountId, CustomerId, Item, Pause, PauseBehavior, Status, Subscription, SubscriptionId, Tier, Timestamp,
};

use super::db::{Db, OfList, StoreError, Tx, list, of_list, query, statements};
use super::{At, Stored};

const OF_ACCOUNTS: OfList =
    of_list!("SELECT * FROM subscription WHERE account_id IN", "ORDER BY created DESC, id DESC");
const BY_IDS: OfList = of_list!("SELECT * FROM subscription WHERE id IN", "");

statements! {
    OF_ACCOUNT = "SELECT * FROM subscription WHERE account_id = $1 ORDER BY created DESC, id DESC";
    BY_ID = "SELECT * FROM subscription WHERE id = $1";
    INSERT = "INSERT INTO subscription (id, account_id, customer_id, status, items, created, billing_cycle_anchor, \
        cancel_at_period_end, cancel_at, ended_at, trial_end, pause_behavior, pause_resumes_at, past_due_since, \
        last_known_tier, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1) ON CONFLICT (id) DO NOTHING";
    UPDATE = "UPDATE subscription SET account_id = $2, customer_id = $3, status = $4, items = $5, created = $6, \
        billing_cycle_anchor = $7, cancel_at_period_end = $8, cancel_at = $9, ended_at = $10, trial_end = $11, \
        pause_behavior = $12, pause_resumes_at = $13, past_due_since = $14, last_known_tier = $15, synced_at = $16, \
        version = version + 1 WHERE id = $1 AND version = $17";
    INSERT_REVISION = "INSERT INTO subscription_revision (subscription_id, version, account_id, snapshot, cause, written_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    AS_OF = "SELECT r.subscription_id, r.version, r.snapshot, r.cause, r.written_at FROM subscription_revision r \
        WHERE r.account_id = $1 AND r.version = (SELECT MAX(l.version) FROM subscription_revision l \
        WHERE l.subscription_id = r.subscription_id AND l.written_at <= $2) ORDER BY r.written_at DESC, r.subscription_id DESC";
    CLAIM_TRIAL = "INSERT INTO trial_claim (claim, subscription_id, claimed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    TRIAL_CLAIMED = "SELECT claim FROM trial_claim WHERE claim IN ($1, $2, $3, $4) LIMIT 1";
    TRIAL_HOLDER = "SELECT subscription_id FROM trial_claim WHERE claim = $1";
}

#[derive(sqlx::FromRow)]
struct Row {
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
    past_due_since: Option<i64>,
    last_known_tier: Option<String>,
    version: i64,
}

impl Row {
    fn read(self) -> Result<Stored<Subscription>, StoreError> {
        let items: Vec<Item> = At { table: "subscription", row: &self.id }.read("items", &self.items)?;
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
                past_due_since: self.past_due_since.map(Timestamp),
                last_known_tier: self.last_known_tier.map(Tier::new),
            },
        })
    }
}

/// All subscriptions of an account, newest first.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    query!(Db: db, fetch_all as Row, OF_ACCOUNT, account.as_str())?
        .into_iter()
        .map(|row| row.read().map(|stored| stored.object))
        .collect()
}

/// All subscriptions of these accounts, newest first.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn of_accounts(db: &Db, accounts: &[&str]) -> Result<Vec<Stored<Subscription>>, StoreError> {
    query!(Db: db, fetch_all as Row, OF_ACCOUNTS.on(db), list(accounts))?.into_iter().map(Row::read).collect()
}

/// Those of these subscriptions that are written down, by their ids. A row that is broken stands in
/// the way of no other.
///
/// # Errors
/// The database failed.
pub async fn by_ids(
    db: &Db,
    ids: &[&str],
) -> Result<HashMap<SubscriptionId, Result<Stored<Subscription>, StoreError>>, StoreError> {
    let rows = query!(Db: db, fetch_all as Row, BY_IDS.on(db), list(ids))?;
    Ok(rows.into_iter().map(|row| (SubscriptionId::new(&row.id), row.read())).collect())
}

/// The same inside a transaction.
///
/// # Errors
/// As [`of_account`].
pub async fn of_account_in(tx: &mut Tx, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
    query!(Tx: tx, fetch_all as Row, OF_ACCOUNT, account.as_str())?
        .into_iter()
        .map(|row| row.read().map(|stored| stored.object))
        .collect()
}

/// One subscription.
///
/// # Errors
/// As [`of_account`].
pub async fn by_id(db: &Db, id: &SubscriptionId) -> Result<Option<Stored<Subscription>>, StoreError> {
    query!(Db: db, fetch_optional as Row, BY_ID, id.as_str())?.map(Row::read).transpose()
}

/// Writes a subscription whole, and adds a revision when anything about it has changed. `seen` is
/// what was read before Stripe was asked, `None` when there was no row; `cause` is what made us
/// look. `false`: somebody else wrote in between, so their answer from Stripe may be newer than
/// this one; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    seen: Option<&Stored<Subscription>>,
    cause: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = At { table: "subscription", row: subscription.id.as_str() };
    let items = row.json("items", &subscription.items)?;
    let pause = subscription.pause.as_ref();
    macro_rules! write {
        ($sql:expr $(, $version:expr)?) => {
            query!(Tx: &mut *tx, execute, $sql, subscription.id.as_str(), account.as_str(), subscription.customer.as_str(),
                subscription.status.as_str(), items.as_str(), subscription.created.0, subscription.billing_cycle_anchor.0,
                subscription.cancel_at_period_end, subscription.cancel_at.map(|at| at.0),
                subscription.ended_at.map(|at| at.0), subscription.trial_end.map(|at| at.0),
                pause.map(|pause| pause.behavior.as_str()), pause.and_then(|pause| pause.resumes_at).map(|at| at.0),
                subscription.past_due_since.map(|at| at.0), subscription.last_known_tier.as_ref().map(Tier::as_str),
                at.0 $(, $version)?)
        };
    }
    let written = match seen {
        None => write!(INSERT)?,
        Some(seen) => write!(UPDATE, seen.version)?,
    };
    if written == 0 {
        return Ok(false);
    }
    if seen.is_none_or(|seen| seen.object != *subscription || seen.account != *account) {
        let version = seen.map_or(0, |seen| seen.version) + 1;
        let snapshot = row.json("snapshot", subscription)?;
        query!(Tx: tx, execute, INSERT_REVISION, subscription.id.as_str(), version, account.as_str(), snapshot, cause, at.0)?;
    }
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
            let row = format!("{id}, {version}");
            let subscription = At { table: "subscription_revision", row: &row }.read("snapshot", &snapshot)?;
            Ok(Revision { subscription, version, cause, written_at: Timestamp(written_at) })
        })
        .collect()
}

/// By what a trial is recognised as the second one of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialClaim {
    /// The account has had one.
    Account(AccountId),
    /// Somebody with this canonical address has had one.
    Email(String),
    /// Somebody with this card, by Stripe's fingerprint, has had one.
    Card(String),
    /// Any of these, of a trial that an operator has given at Stripe.
    Given(Box<TrialClaim>),
}

impl TrialClaim {
    fn key(&self) -> String {
        match self {
            Self::Account(account) => account_claim(account),
            Self::Email(canonical) => email_claim(canonical),
            Self::Card(fingerprint) => format!("card:{fingerprint}"),
            Self::Given(claim) => given(&claim.key()),
        }
    }
}

/// Remembers whose trial a subscription's is. What is claimed already stays whose it was.
///
/// # Errors
/// The database failed.
pub async fn claim_trial(
    tx: &mut Tx,
    claims: &[TrialClaim],
    subscription: &SubscriptionId,
    at: Timestamp,
) -> Result<(), StoreError> {
    for claim in claims {
        query!(Tx: &mut *tx, execute, CLAIM_TRIAL, claim.key(), subscription.as_str(), at.0)?;
    }
    Ok(())
}

/// Whose trial it was by which this claim was made.
///
/// # Errors
/// The database failed.
pub async fn trial_holder(tx: &mut Tx, claim: &TrialClaim) -> Result<Option<SubscriptionId>, StoreError> {
    let holder = query!(Tx: tx, fetch_optional as (String,), TRIAL_HOLDER, claim.key())?;
    Ok(holder.map(|(id,)| SubscriptionId::new(id)))
}

/// Whether the account, or anybody with the same canonical address, has had a trial.
///
/// # Errors
/// The database failed.
pub async fn trial_claimed(db: &Db, account: &AccountId, canonical_email: &str) -> Result<bool, StoreError> {
    let (account, email) = (account_claim(account), email_claim(canonical_email));
    let (by_account, by_email) = (given(&account), given(&email));
    let found = query!(Db: db, fetch_optional as (String,), TRIAL_CLAIMED, account, email, by_account, by_email)?;
    Ok(found.is_some())
}

fn given(claim: &str) -> String {
    format!("given:{claim}")
}

fn account_claim(account: &AccountId) -> String {
    format!("account:{account}")
}

fn email_claim(canonical_email: &str) -> String {
    format!("email:{canonical_email}")
}
