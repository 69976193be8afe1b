//! What operators see and mend: events, accounts with their reasons, drift. Every function takes an
//! [`OperatorPermit`]: nothing of anybody else can be had without one.

use std::time::Duration;

use billing::ledger::{Invoice, Payment, Purchase};
use billing::{AccountId, CustomerId, Entitlement, EventId, Flag, Reason, Timestamp, entitlement};

use crate::access::OperatorPermit;
use crate::reconcile::{self, BrokenOff, Mode};
use crate::store::accounts::{self, AccountRow};
use crate::store::drift::{self, Run};
use crate::store::inbox::{self, EventState, Filter, Listed};
use crate::store::subscriptions::{self, Revision};
use crate::store::{After, StoreError, customers, invoices, purchases};
use crate::tollgate::Tollgate;
use crate::usage::MeterReading;

/// How many rows a page has.
const PAGE: i64 = 50;
/// How long an operator waits for a comparison.
const PATIENCE: Duration = Duration::from_secs(20);

/// How everything stands.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How many events are in each state that any is in.
    pub events: Vec<(EventState, i64)>,
    /// When the event came that has been waiting longest.
    pub oldest_pending: Option<Timestamp>,
    /// The latest comparison with Stripe that came to an end.
    pub comparison: Option<Run>,
    /// How many differences of each class are there still.
    pub drift: Vec<(String, i64)>,
}

/// How everything stands.
///
/// # Errors
/// The database failed.
pub async fn overview(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Overview, StoreError> {
    Ok(Overview {
        events: inbox::count_by_state(tollgate.db()).await?,
        oldest_pending: inbox::oldest_pending(tollgate.db()).await?,
        comparison: drift::latest(tollgate.db()).await?,
        drift: drift::count_left(tollgate.db()).await?,
    })
}

/// A page of a table, and where the next begins.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// Newest first.
    pub rows: Vec<T>,
    /// `None` on the last page.
    pub next: Option<After>,
}

impl<T> Table<T> {
    fn new(mut rows: Vec<T>, after: impl Fn(&T) -> After) -> Self {
        let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        Self { next: rows.last().filter(|_| more).map(after), rows }
    }
}

/// Events, newest first.
///
/// # Errors
/// The database failed.
pub async fn events(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &Filter,
    after: &After,
) -> Result<Table<Listed>, StoreError> {
    let rows = inbox::list(tollgate.db(), filter, after, PAGE + 1).await?;
    Ok(Table::new(rows, |event| After { at: Timestamp(event.received_at), key: event.event_id.clone() }))
}

/// One event, whole.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// As the list shows it.
    pub listed: Listed,
    /// The body that was signed. Customers' data: for operators' eyes.
    pub payload: String,
}

/// One event.
///
/// # Errors
/// The database failed.
pub async fn event(tollgate: &Tollgate, _: &OperatorPermit, id: &EventId) -> Result<Option<EventDetail>, StoreError> {
    let listed = inbox::by_id(tollgate.db(), id).await?;
    let payload = inbox::payload(tollgate.db(), id).await?;
    Ok(listed.zip(payload).map(|(listed, payload)| EventDetail { listed, payload }))
}

/// Makes an event due again. `false` when there is none that could be applied.
///
/// # Errors
/// The database failed.
pub async fn replay(tollgate: &Tollgate, _: &OperatorPermit, id: &EventId) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let is_due = inbox::replay(&mut tx, id, tollgate.now()).await?;
    tx.commit().await?;
    tollgate.inbox_filled().notify_one();
    Ok(is_due)
}

/// An account as a list shows it.
#[derive(Clone, Debug)]
pub struct AccountSummary {
    /// The account.
    pub account: AccountRow,
    /// What it may do, and why.
    pub entitlement: Entitlement,
}

/// Accounts, newest first; with `search`, those whose address or Stripe customer contains it.
///
/// # Errors
/// The database failed.
pub async fn accounts(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    search: &str,
    after: &After,
) -> Result<Table<AccountSummary>, StoreError> {
    let rows = accounts::search(tollgate.db(), search, after, PAGE + 1).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let held = subscriptions::of_accounts(tollgate.db(), &ids).await?;
    let summaries = rows
        .into_iter()
        .map(|account| {
            let own: Vec<_> =
                held.iter().filter(|stored| stored.account.as_str() == account.id).map(|s| s.object.clone()).collect();
            AccountSummary { entitlement: entitlement(&own, tollgate.catalog(), tollgate.now()), account }
        })
        .collect();
    Ok(Table::new(summaries, |row: &AccountSummary| After {
        at: Timestamp(row.account.created_at),
        key: row.account.id.clone(),
    }))
}

/// One account, with everything that explains it.
#[derive(Clone, Debug)]
pub struct AccountDetail {
    /// The account.
    pub account: AccountRow,
    /// Its customer at Stripe.
    pub customer: Option<CustomerId>,
    /// What it may do, and why.
    pub entitlement: Entitlement,
    /// Every subscription as it is known now, with what made us look.
    pub subscriptions: Vec<Revision>,
    /// What is used.
    pub usage: Vec<MeterReading>,
    /// The newest invoices.
    pub invoices: Vec<Invoice>,
    /// The newest purchases.
    pub purchases: Vec<(Purchase, Option<Payment>)>,
}

/// One account, with everything that explains it.
///
/// # Errors
/// The database failed.
pub async fn account(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    id: &AccountId,
) -> Result<Option<AccountDetail>, StoreError> {
    let Some(account) = accounts::row(tollgate.db(), id).await? else { return Ok(None) };
    let revisions = subscriptions::as_of(tollgate.db(), id, tollgate.now()).await?;
    Ok(Some(AccountDetail {
        account,
        customer: customers::of_account(tollgate.db(), id).await?,
        entitlement: tollgate.entitlement(id).await?,
        subscriptions: revisions,
        usage: tollgate.usage(id).await?,
        invoices: invoices::of_account(tollgate.db(), id, &After::start(), PAGE).await?,
        purchases: purchases::of_account(tollgate.db(), id, &After::start(), PAGE).await?,
    }))
}

/// What differs from Stripe or once did, newest first.
///
/// # Errors
/// The database failed.
pub async fn drift(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &drift::Filter,
    after: &After,
) -> Result<Table<drift::Listed>, StoreError> {
    let rows = drift::list(tollgate.db(), filter, after, PAGE + 1).await?;
    Ok(Table::new(rows, |listed| After { at: Timestamp(listed.found_at), key: listed.id.clone() }))
}

/// The latest comparison with Stripe that came to an end.
///
/// # Errors
/// The database failed.
pub async fn comparison(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Option<Run>, StoreError> {
    drift::latest(tollgate.db()).await
}

/// Compares with Stripe now, and mends what is safe. `false` when that takes longer than a person
/// waits: it goes on, and is written down when it has ended.
///
/// # Errors
/// Stripe or the database could not be read.
pub async fn compare(tollgate: &Tollgate, _: &OperatorPermit) -> Result<bool, BrokenOff> {
    let comparing = tokio::spawn({
        let tollgate = tollgate.clone();
        async move { reconcile::reconcile(&tollgate, Mode::Mend, reconcile::STRIPE_KEEPS_DAYS).await }
    });
    match tokio::time::timeout(PATIENCE, comparing).await {
        Ok(Ok(compared)) => compared.map(|_| true),
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        Err(_) => Ok(false),
    }
}

/// Why an account has what it has, as a sentence for a person.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::NoSubscription => "There is no subscription.".to_owned(),
        Reason::Subscription { id, status, rule } => format!("{id} is {}: {}.", status.as_str(), rule.describe()),
    }
}

/// What a person should look at, as a sentence.
pub fn flag(flag: &Flag) -> String {
    match flag {
        Flag::StalePeriod(id) => format!("The period of {id} is over and Stripe has not moved it on."),
        Flag::UnknownStatus(id, word) => format!("{id} has the status `{word}`, which this version does not know."),
        Flag::UnknownPrice(id) => format!("{id} has a price that plans.toml does not name."),
    }
}
